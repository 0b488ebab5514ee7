#include "sources/model_cache.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <map>
#include <set>

#include "base/digest.h"
#include "base/json_fields.h"
#include "base/log.h"
#include "base/platform/files.h"
#include "sources/front_digest.h"

namespace gantry::sources {
namespace {

namespace fs = std::filesystem;

constexpr size_t kManifestBytesMax = 16u << 20;
constexpr uint64_t kRoomKept = 256ull << 20;      // for the database and logs, which may be on the same disk

// A manifest as it lies on the disk.
struct StoredFile {
    std::string path, local, digest;
    uint64_t bytes = 0;
};
struct Stored {
    std::string source, commit, serve;
    std::vector<StoredFile> files;
    int64_t fetched_at_ms = 0;
};
template <Is<StoredFile> T, class Visit>
void fields(T& f, Visit&& visit) {
    visit("path", f.path);
    visit("local", f.local);
    visit("digest", f.digest);
    visit("bytes", f.bytes);
}
template <Is<Stored> T, class Visit>
void fields(T& m, Visit&& visit) {
    visit("source", m.source);
    visit("commit", m.commit);
    visit("serve", m.serve);
    visit("files", m.files);
    visit("fetched_at_ms", m.fetched_at_ms);
}

Digest digest_of(const std::string& hex) { return {hex.size() == 40 ? Digest::Kind::kGit : Digest::Kind::kSha256, hex}; }

Status sync_folder(const std::string& path) {
    const platform::UniqueFd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder.valid() || ::fsync(folder.get()) != 0) return error_from_errno("the folder of models cannot be written", errno);
    return Ok{};
}

uint64_t size_of(const std::string& path, bool& there) {
    struct stat status {};
    there = ::lstat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
    return there ? static_cast<uint64_t>(status.st_size) : 0;
}

Status check_blob(const std::string& path, const ChosenFile& file) {
    const platform::UniqueFd opened(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!opened.valid()) return error_from_errno(fmt::format("{} cannot be opened", file.local), errno);
    FrontDigest digest(opened.get(), file.file.bytes, file.file.digest.kind);
    digest.grow(file.file.bytes);
    const auto hex = digest.finish();
    if (!hex) return hex.error();
    if (*hex == file.file.digest.hex) return Ok{};
    ::unlink(path.c_str());
    return invalid_argument(fmt::format("{} is damaged: its digest is {}..., not {}...; it was deleted, and is fetched anew when it is needed",
                                        file.local, hex->substr(0, 16), file.file.digest.hex.substr(0, 16)),
                            {}, "digest_mismatch");
}

}  // namespace

uint64_t Manifest::bytes() const { return Chosen{files, {}}.bytes(); }

std::string ModelCache::id_of(const std::string& source) { return short_digest(source); }

Status ModelCache::make_folders() const {
    for (const char* folder : {"/blobs", "/models", "/manifests", "/partial"}) GANTRY_TRY(platform::make_folders(root_ + folder, 0700));
    return Ok{};
}

bool ModelCache::has(const HubFile& file) const {
    bool there = false;
    return size_of(blob_path(file.digest), there) == file.bytes && there;
}

std::string ModelCache::path_of(const Manifest& manifest) const {
    const std::string folder = root_ + "/models/" + id_of(manifest.source);
    return manifest.serve.empty() ? folder : folder + "/" + manifest.serve;
}

Result<Manifest> ModelCache::read(const std::string& id) const {
    const auto text = platform::read_file(root_ + "/manifests/" + id + ".json", kManifestBytesMax);
    return text ? parse(*text, id) : Result<Manifest>(text.error());
}

Result<Manifest> ModelCache::parse(const std::string& text, const std::string& id) {
    const auto value = parse_json(text);
    Stored stored;
    if (!value || !from_json_value(*value, stored)) return internal_error("a manifest of the folder of models cannot be read");
    Manifest manifest{stored.source, stored.commit, stored.serve, {}, from_unix_ms(stored.fetched_at_ms)};
    bool good = id_of(stored.source) == id && (stored.serve.empty() || safe_relative_path(stored.serve));
    for (const StoredFile& file : stored.files) {
        ChosenFile chosen{{file.path, file.bytes, digest_of(file.digest)}, file.local};
        good = good && valid(chosen.file.digest) && safe_relative_path(file.local);
        manifest.files.push_back(std::move(chosen));
    }
    return good ? Result<Manifest>(std::move(manifest)) : internal_error("a manifest of the folder of models is of something else");
}

std::string ModelCache::text_of(const Manifest& manifest) {
    Stored stored{manifest.source, manifest.commit, manifest.serve, {}, to_unix_ms(manifest.fetched_at)};
    for (const ChosenFile& file : manifest.files) stored.files.push_back({file.file.path, file.local, file.file.digest.hex, file.file.bytes});
    return json::serialize(to_json_value(stored));
}

std::optional<Manifest> ModelCache::find(const std::string& source) const {
    const auto manifest = read(id_of(source));
    if (!manifest) return std::nullopt;
    const bool whole = std::all_of(manifest->files.begin(), manifest->files.end(), [this](const ChosenFile& f) { return has(f.file); });
    return whole && ::access(path_of(*manifest).c_str(), F_OK) == 0 ? std::optional(*manifest) : std::nullopt;
}

std::vector<Manifest> ModelCache::list() const {
    std::vector<Manifest> found;
    std::error_code failed;
    for (const fs::directory_entry& entry : fs::directory_iterator(root_ + "/manifests", failed)) {
        if (entry.path().extension() != ".json") continue;
        if (const auto manifest = read(entry.path().stem().string()); manifest && find(manifest->source)) found.push_back(*manifest);
    }
    std::sort(found.begin(), found.end(), [](const Manifest& a, const Manifest& b) { return a.source < b.source; });
    return found;
}

Status ModelCache::keep(const HubFile& file, const std::string& from) const {
    if (::rename(from.c_str(), blob_path(file.digest).c_str()) != 0) return error_from_errno("a downloaded file cannot be moved", errno);
    return sync_folder(root_ + "/blobs");
}

Status ModelCache::put(const Manifest& manifest) const {
    const std::string id = id_of(manifest.source), folder = root_ + "/models/" + id, fresh = folder + ".new";
    GANTRY_TRY(platform::remove_tree(fresh));
    for (const ChosenFile& file : manifest.files) {
        GANTRY_ASSERT(safe_relative_path(file.local), "a file's name would leave its model's folder");
        const std::string path = fresh + "/" + file.local;
        GANTRY_TRY(platform::make_folders(path.substr(0, path.rfind('/')), 0700));
        std::string target = "../../blobs/" + file.file.digest.hex;
        for (const char c : file.local) target.insert(0, c == '/' ? "../" : "");
        if (::symlink(target.c_str(), path.c_str()) != 0) return error_from_errno("a model's folder cannot be made", errno);
    }
    GANTRY_TRY(platform::remove_tree(folder));
    if (::rename(fresh.c_str(), folder.c_str()) != 0) return error_from_errno("a model's folder cannot be made", errno);
    GANTRY_TRY(sync_folder(root_ + "/models"));
    return platform::write_file_atomic(root_ + "/manifests/" + id + ".json", text_of(manifest));
}

Result<uint64_t> ModelCache::remove(const std::string& id) const {
    const auto manifest = read(id);
    if (!manifest) return not_found("there are no such model files here; `gantry ls --files` lists those that there are", "model_files_not_found");
    ::unlink((root_ + "/manifests/" + id + ".json").c_str());
    GANTRY_TRY(platform::remove_tree(root_ + "/models/" + id));
    std::set<std::string> used;
    for (const Manifest& other : list()) {
        for (const ChosenFile& file : other.files) used.insert(file.file.digest.hex);
    }
    uint64_t freed = 0;
    for (const ChosenFile& file : manifest->files) {
        if (used.contains(file.file.digest.hex)) continue;
        if (::unlink(blob_path(file.file.digest).c_str()) == 0) freed += file.file.bytes;
    }
    return freed;
}

Status ModelCache::verify(const std::string& id) const {
    const auto manifest = read(id);
    if (!manifest) return not_found("there are no such model files here; `gantry ls --files` lists those that there are", "model_files_not_found");
    for (const ChosenFile& file : manifest->files) GANTRY_TRY(check_blob(blob_path(file.file.digest), file));
    return Ok{};
}

void ModelCache::touch(const std::string& source) const {
    ::utimensat(AT_FDCWD, (root_ + "/manifests/" + id_of(source) + ".json").c_str(), nullptr, 0);
}

std::vector<Manifest> ModelCache::by_age() const {
    std::multimap<std::pair<time_t, long>, Manifest> sorted;   // by when each was used: looked at once, for it may be used meanwhile
    for (Manifest& manifest : list()) {
        struct stat status {};
        ::lstat((root_ + "/manifests/" + id_of(manifest.source) + ".json").c_str(), &status);
        sorted.emplace(std::pair(status.st_mtim.tv_sec, status.st_mtim.tv_nsec), std::move(manifest));
    }
    std::vector<Manifest> all;
    for (auto& [used_at, manifest] : sorted) all.push_back(std::move(manifest));
    return all;
}

uint64_t ModelCache::missing_bytes(const std::vector<ChosenFile>& files) const {
    std::set<std::string> counted;
    uint64_t bytes = 0;
    for (const ChosenFile& file : files) {
        if (!has(file.file) && counted.insert(file.file.digest.hex).second) bytes += file.file.bytes;
    }
    return bytes;
}

uint64_t ModelCache::bytes_besides(const std::vector<ChosenFile>& files) const {
    std::set<std::string> own;
    for (const ChosenFile& file : files) {
        if (!has(file.file)) own.insert(file.file.digest.hex);
    }
    uint64_t bytes = 0;
    for (const char* folder : {"/blobs", "/partial"}) {
        std::error_code failed;
        for (const fs::directory_entry& entry : fs::directory_iterator(root_ + folder, failed)) {
            struct stat status {};
            const bool there = ::lstat(entry.path().c_str(), &status) == 0 && S_ISREG(status.st_mode);
            if (there && !own.contains(entry.path().stem().string())) bytes += static_cast<uint64_t>(status.st_size);
        }
    }
    return bytes;
}

Status ModelCache::check_room(const std::vector<ChosenFile>& files) const {
    struct statvfs room {};
    if (::statvfs(root_.c_str(), &room) != 0) return error_from_errno("the free space of the folder of models is unknown", errno);
    uint64_t needed = 0, held = 0;
    std::set<std::string> counted;
    for (const ChosenFile& file : files) {
        if (has(file.file) || !counted.insert(file.file.digest.hex).second) continue;
        needed += file.file.bytes;
        struct stat status {};
        if (::lstat(partial_path(file.file.digest).c_str(), &status) == 0) held += static_cast<uint64_t>(status.st_blocks) * 512;
    }
    needed -= std::min(needed, held);
    const uint64_t there = room.f_bavail * room.f_frsize;
    if (needed == 0 || needed + kRoomKept <= there) return Ok{};
    return Error{ErrorCode::kStorageFull,
                 fmt::format("the model needs {:.1f} GB on this machine's disk, where {:.1f} GB are free and 0.3 GB stay so: delete models that "
                             "nobody uses (`gantry ls --files`), or move the data folder to a larger disk",
                             static_cast<double>(needed) / 1e9, static_cast<double>(there) / 1e9),
                 {}, "no_room"};
}

}  // namespace gantry::sources
