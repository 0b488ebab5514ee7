#include "base/platform/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <functional>
#include <string_view>
#include <system_error>

namespace gantry::platform {
namespace {

static_assert(sizeof(sockaddr_un{}.sun_path) == kSocketPathMax + 1);

std::string parent_of(const std::string& path) {
    const std::string parent = std::filesystem::path(path).parent_path().string();
    return parent.empty() ? "." : parent;
}

Status write_all(int fd, std::string_view text, const std::string& what) {
    while (!text.empty()) {
        const ssize_t written = ::write(fd, text.data(), text.size());
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written < 0) {
            return error_from_errno(what, errno);
        }
        text.remove_prefix(static_cast<size_t>(written));
    }
    return Ok{};
}

}  // namespace

void UniqueFd::reset(int fd) {
    if (fd_ >= 0) {
        ::close(fd_);
    }
    fd_ = fd;
}

Result<std::string> read_file(const std::string& path, size_t limit) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (!fd.valid()) {
        return error_from_errno("cannot open " + path, errno);
    }
    std::string text;
    char buffer[16384];
    for (;;) {
        const ssize_t count = ::read(fd.get(), buffer, sizeof buffer);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return error_from_errno("cannot read " + path, errno);
        }
        if (count == 0) {
            return text;
        }
        if (text.size() + static_cast<size_t>(count) > limit) {
            return Error{ErrorCode::kTooLarge, path + " is larger than expected", {}, {}};
        }
        text.append(buffer, static_cast<size_t>(count));
    }
}

namespace {

// "model-00001-of-00003.gguf": the others stand beside it.
bool is_first_part(const std::string& path) { return path.find("-00001-of-") != std::string::npos; }

// What is in a folder, as a number: whose files are written, replaced or added is another.
uint64_t identity_within(const std::string& folder) {
    constexpr size_t kNamesMax = 20'000;
    uint64_t sum = 0;
    size_t count = 0;
    DIR* const entries = ::opendir(folder.c_str());
    if (entries == nullptr) {
        return 0;
    }
    for (const dirent* entry = ::readdir(entries); entry != nullptr && count < kNamesMax; entry = ::readdir(entries), ++count) {
        struct stat info {};
        if (::fstatat(::dirfd(entries), entry->d_name, &info, 0) != 0 || std::string_view(entry->d_name) == "..") {
            continue;
        }
        const std::string one = fmt::format("{} {} {} {} {}", entry->d_name, info.st_ino, info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
        sum += std::hash<std::string>{}(one);   // in whatever order they come
    }
    ::closedir(entries);
    return sum;
}

}  // namespace

std::string file_identity(const std::string& path) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) {
        return "absent";
    }
    std::string text;
    if (S_ISDIR(info.st_mode)) {
        text = std::to_string(identity_within(path)) + ' ';
    } else if (is_first_part(path)) {
        text = std::to_string(identity_within(path.substr(0, path.rfind('/') + 1))) + ' ';
    }
    for (const int64_t number : {static_cast<int64_t>(info.st_dev), static_cast<int64_t>(info.st_ino), static_cast<int64_t>(info.st_size),
                                 static_cast<int64_t>(info.st_mtim.tv_sec), static_cast<int64_t>(info.st_mtim.tv_nsec)}) {
        text += std::to_string(number) + ' ';
    }
    return text;
}

std::string read_tail(const std::string& path, size_t limit) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW));
    struct stat info {};
    if (!fd.valid() || ::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
        return {};
    }
    const off_t start = std::max<off_t>(0, info.st_size - static_cast<off_t>(limit));
    std::string text(static_cast<size_t>(info.st_size - start), '\0');
    const ssize_t count = ::pread(fd.get(), text.data(), text.size(), start);
    text.resize(count < 0 ? 0 : static_cast<size_t>(count));
    return text;
}

Status write_file_atomic(const std::string& path, std::string_view text, mode_t mode) {
    static std::atomic<unsigned> counter{0};
    const std::string temporary = path + ".tmp" + std::to_string(::getpid()) + "." + std::to_string(counter++);
    const std::string what = "cannot write " + path;
    {
        const UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
        if (!fd.valid()) {
            return error_from_errno(what, errno);
        }
        Status written = write_all(fd.get(), text, what);
        if (written.ok() && ::fsync(fd.get()) != 0) {
            written = error_from_errno(what, errno);
        }
        if (!written.ok()) {
            ::unlink(temporary.c_str());
            return written;
        }
    }
    if (::rename(temporary.c_str(), path.c_str()) != 0) {
        const int error_number = errno;
        ::unlink(temporary.c_str());
        return error_from_errno(what, error_number);
    }
    // Without this the new name may be missing after a loss of power, though the rename was seen.
    const UniqueFd folder(::open(parent_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder.valid() || ::fsync(folder.get()) != 0) {
        return error_from_errno(what, errno);
    }
    return Ok{};
}

Status make_folders(const std::string& path, mode_t mode) {
    struct stat info {};
    if (::stat(path.c_str(), &info) == 0) {
        if (S_ISDIR(info.st_mode)) {
            return Ok{};
        }
        return error_from_errno("cannot create the folder " + path, ENOTDIR);
    }
    const std::string parent = parent_of(path);
    if (parent != path && parent != ".") {
        GANTRY_TRY(make_folders(parent, mode));
    }
    if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST) {
        return error_from_errno("cannot create the folder " + path, errno);
    }
    return Ok{};
}

Status make_private_folder(const std::string& path) {
    if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
        return error_from_errno("cannot create the folder " + path, errno);
    }
    // Opened without following a link, then asked about the opened thing: nobody can swap it between the two.
    const UniqueFd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    struct stat info {};
    if (!folder.valid() || ::fstat(folder.get(), &info) != 0) {
        return error_from_errno("cannot use the folder " + path, errno);
    }
    if (info.st_uid != ::geteuid()) {
        return Error{ErrorCode::kPermissionDenied, "the folder " + path + " belongs to somebody else", {}, {}};
    }
    if ((info.st_mode & 0077) != 0 && ::fchmod(folder.get(), 0700) != 0) {
        return error_from_errno("cannot make the folder " + path + " private", errno);
    }
    return Ok{};
}

Status remove_tree(const std::string& path) {
    std::error_code failure;
    std::filesystem::remove_all(path, failure);
    if (failure) {
        return error_from_errno("cannot delete " + path, failure.value());
    }
    return Ok{};
}

Status copy_and_truncate(const std::string& from, const std::string& to) {
    std::error_code failure;
    std::filesystem::copy_file(from, to, std::filesystem::copy_options::overwrite_existing, failure);
    // Cut even when the copy failed: a disk that is full is freed by nothing else.
    const bool cut = ::truncate(from.c_str(), 0) == 0;
    if (failure) {
        return error_from_errno("cannot copy a log", failure.value());
    }
    return cut ? Status(Ok{}) : Status(error_from_errno("cannot cut a log", errno));
}

bool socket_path_fits(std::string_view path) {
    return !path.empty() && path.size() <= kSocketPathMax;
}

}  // namespace gantry::platform
