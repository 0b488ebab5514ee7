#include "engine/kernels/packed_cache.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "base/digest.h"
#include "engine/kernels/matmul_packing.h"

namespace gantry::engine::kernels {
namespace {

namespace fs = std::filesystem;

constexpr char kMagic[8] = {'G', 'A', 'N', 'T', 'R', 'Y', 'P', 'K'};
constexpr const char* kEnding = ".packed";
constexpr const char* kPartEnding = ".part";   // more, while it is written
constexpr uint64_t kPage = 4096;
constexpr uint32_t kTensorsMax = 1u << 16;
constexpr size_t kTogether = 4u << 20;         // bytes between looks whether to stop
constexpr size_t kSyncedBytes = 64u << 20;     // that are written before the disk has to have them
constexpr uint64_t kDiskShare = 20;           // a twentieth of the disk stays free
constexpr auto kForgotten = std::chrono::hours(1);   // a half-written file that old has no writer

struct Header {
    char magic[sizeof kMagic];
    uint32_t layout;
    uint32_t tensors;
    uint64_t begin, bytes;
    char digest[32];   // of the table
};

static_assert(sizeof(Header) == 64);

struct Entry {
    char name[64];
    uint32_t type, unused;
    int64_t values, rows;
    uint64_t offset;
};

static_assert(sizeof(Entry) == 96);

std::string table_of(const std::vector<PackedTensor>& tensors) {
    std::string table;
    for (const PackedTensor& tensor : tensors) {
        Entry entry{};
        std::memcpy(entry.name, tensor.name.data(), std::min(tensor.name.size(), sizeof entry.name - 1));
        entry.type = tensor.type;
        entry.values = tensor.values;
        entry.rows = tensor.rows;
        entry.offset = tensor.offset;
        table.append(reinterpret_cast<const char*>(&entry), sizeof entry);
    }
    return table;
}

// The kernel has what was asked about at 64 places.
bool is_in_memory(int file, uint64_t begin, uint64_t bytes) {
    void* mapped = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file, static_cast<off_t>(begin));
    if (mapped == MAP_FAILED) {
        return false;
    }
    bool all = true;
    const uint64_t pages = (bytes + kPage - 1) / kPage;
    for (uint64_t i = 0; all && i < 64; ++i) {
        unsigned char resident = 0;
        all = ::mincore(static_cast<char*>(mapped) + pages * i / 64 * kPage, kPage, &resident) == 0 && (resident & 1) != 0;
    }
    ::munmap(mapped, bytes);
    return all;
}

Error no_room(const std::string& why) { return unavailable("packed weights are not kept: " + why, "packed_cache"); }

// Reaches the disk as it goes: what is stopped, or ends, does not wait for gigabytes to be written.
Status write_all(int file, std::string_view text, const std::stop_token& stop) {
    for (size_t unsynced = 0; !text.empty();) {
        if (stop.stop_requested()) {
            return no_room("the model is unloaded");
        }
        const ssize_t count = ::write(file, text.data(), std::min(text.size(), kTogether));
        if (count < 0 && errno != EINTR) {
            return no_room(std::strerror(errno));
        }
        text.remove_prefix(static_cast<size_t>(std::max<ssize_t>(count, 0)));
        unsynced += static_cast<size_t>(std::max<ssize_t>(count, 0));
        if (unsynced >= kSyncedBytes || text.empty()) {
            if (::fdatasync(file) != 0) {
                return no_room(std::strerror(errno));
            }
            unsynced = 0;
        }
    }
    return Ok{};
}

// 32 hexadecimal digits and the ending: nobody else's.
bool is_ours(std::string_view name) {
    return name.size() == 32 + std::strlen(kEnding) && name.ends_with(kEnding) &&
           name.substr(0, 32).find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// Deletes what was left half written, and the longest unused files until `bytes` more are allowed and the disk has room to spare. kUnavailable,
// saying why, if that would not be enough: then none of them is deleted.
Status make_room(const PackedCacheOptions& options, const std::string& path, uint64_t bytes) {
    struct Kept {
        fs::path path;
        uint64_t bytes;
        fs::file_time_type used;
    };
    std::vector<Kept> kept;
    uint64_t sum = 0;
    std::error_code failed;
    for (fs::directory_iterator file(options.folder, failed), end; !failed && file != end; file.increment(failed)) {
        const std::string name = file->path().filename().string();
        std::error_code gone;
        const fs::file_time_type used = file->last_write_time(gone);
        const uint64_t size = gone ? 0 : file->file_size(gone);
        if (gone) continue;
        if (is_ours(name) && file->path() != path) {
            kept.push_back({file->path(), size, used});
            sum += size;
        } else if (name.ends_with(kPartEnding) && is_ours(name.substr(0, name.size() - std::strlen(kPartEnding))) &&
                   used < fs::file_time_type::clock::now() - kForgotten) {
            fs::remove(file->path(), gone);
        }
    }
    struct statvfs disk {};
    if (::statvfs(options.folder.c_str(), &disk) != 0) {
        return no_room(std::string("the disk does not say what is free: ") + std::strerror(errno));
    }
    const uint64_t free = disk.f_bavail * disk.f_frsize, spared = disk.f_blocks * disk.f_frsize / kDiskShare;
    if (bytes > options.bytes_max) {
        return no_room(fmt::format("they have {} MiB, of {} that may be kept", bytes >> 20, options.bytes_max >> 20));
    }
    if (free + sum < bytes + spared) {
        return no_room(fmt::format("they have {} MiB, and {} MiB of the disk are free", bytes >> 20, free >> 20));
    }
    std::ranges::sort(kept, {}, &Kept::used);
    uint64_t deleted = 0;
    for (const Kept& file : kept) {
        if (sum - deleted + bytes <= options.bytes_max && free + deleted >= bytes + spared) break;
        fs::remove(file.path, failed);
        deleted += file.bytes;
    }
    return Ok{};
}

}  // namespace

std::string model_identity(const std::string& model_path) {
    struct stat info {};
    if (::stat(model_path.c_str(), &info) != 0) {
        return {};
    }
    return fmt::format("{} {}.{}", platform::file_identity(model_path), info.st_ctim.tv_sec, info.st_ctim.tv_nsec);
}

std::string packed_path(const PackedCacheOptions& options, const std::string& identity, uint32_t index, uint64_t bytes) {
    return options.folder + "/" + short_digest(fmt::format("{} {} {} {}", identity, kPackedLayout, index, bytes)) + kEnding;
}

std::optional<PackedFile> open_packed(const std::string& path, uint64_t bytes) {
    PackedFile found;
    found.file.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    struct stat info {};
    Header header{};
    const int file = found.file.get();
    if (!found.file.valid() || ::fstat(file, &info) != 0 || !S_ISREG(info.st_mode) || info.st_uid != ::geteuid() ||
        (info.st_mode & (S_IWGRP | S_IWOTH)) != 0 ||
        ::pread(file, &header, sizeof header, 0) != static_cast<ssize_t>(sizeof header)) {
        return std::nullopt;
    }
    if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0 || header.layout != kPackedLayout || header.tensors > kTensorsMax ||
        header.bytes != bytes || bytes == 0) {
        return std::nullopt;
    }
    const uint64_t table_bytes = uint64_t{header.tensors} * sizeof(Entry);
    if (header.begin % kPage != 0 || header.begin < sizeof header + table_bytes || header.begin > sizeof header + table_bytes + kPage ||
        static_cast<uint64_t>(info.st_size) < bytes || static_cast<uint64_t>(info.st_size) - bytes != header.begin) {
        return std::nullopt;
    }
    std::string table(table_bytes, '\0');
    if (::pread(file, table.data(), table.size(), sizeof header) != static_cast<ssize_t>(table.size()) ||
        short_digest(table) != std::string_view(header.digest, sizeof header.digest)) {
        return std::nullopt;
    }
    for (uint32_t i = 0; i < header.tensors; ++i) {
        Entry entry;
        std::memcpy(&entry, table.data() + i * sizeof entry, sizeof entry);
        found.tensors.push_back({.name = std::string(entry.name, ::strnlen(entry.name, sizeof entry.name)), .type = entry.type,
                                 .values = entry.values, .rows = entry.rows, .offset = entry.offset});
    }
    found.begin = header.begin;
    found.in_memory = is_in_memory(file, found.begin, bytes);
    return found;
}

void mark_used(const PackedFile& file) { ::futimens(file.file.get(), nullptr); }

void read_ahead(const PackedFile& file, uint64_t bytes, const std::stop_token& stop) {
    for (uint64_t at = 0; at < bytes && !stop.stop_requested(); at += kTogether) {
        ::posix_fadvise(file.file.get(), static_cast<off_t>(file.begin + at), kTogether, POSIX_FADV_WILLNEED);
    }
}

Status write_packed(const PackedCacheOptions& options, const std::string& path, const std::vector<PackedTensor>& tensors,
                    std::span<const char> buffer, const std::stop_token& stop) {
    Status made = platform::make_folders(fs::path(options.folder).parent_path().string());
    if (made) {
        made = platform::make_private_folder(options.folder);
    }
    if (!made) {
        return no_room(made.error().message);
    }
    GANTRY_TRY(make_room(options, path, buffer.size()));
    std::string table = table_of(tensors);
    Header header{};
    std::memcpy(header.magic, kMagic, sizeof kMagic);
    header.layout = kPackedLayout;
    header.tensors = static_cast<uint32_t>(tensors.size());
    header.begin = (sizeof header + table.size() + kPage - 1) / kPage * kPage;
    header.bytes = buffer.size();
    std::memcpy(header.digest, short_digest(table).data(), sizeof header.digest);
    std::string head(reinterpret_cast<const char*>(&header), sizeof header);
    head += table;
    head.resize(header.begin);

    // One writer for each file, in whatever process or container: who comes second leaves it to the first.
    const std::string part = path + kPartEnding;
    const platform::UniqueFd file(::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file.valid()) {
        return no_room(errno == EEXIST ? "another process writes them" : std::strerror(errno));
    }
    Status done = write_all(file.get(), head, stop);
    if (done) {
        done = write_all(file.get(), {buffer.data(), buffer.size()}, stop);
    }
    if (done && ::rename(part.c_str(), path.c_str()) != 0) {
        done = no_room(std::strerror(errno));
    }
    if (!done) {
        ::unlink(part.c_str());
    }
    return done;
}

}  // namespace gantry::engine::kernels
