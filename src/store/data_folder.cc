#include "store/data_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

namespace gantry::store {
namespace {

constexpr size_t kMarkBytes = 16;
constexpr char kClean[] = "clean";

// Everything here is O_CLOEXEC: engines outlive the server, and an inherited lock would outlive it too.
Status sync_path(const std::string& path, int flags) {
    const int fd = ::open(path.c_str(), flags | O_CLOEXEC);
    if (fd < 0) return error_from_errno("opening the data folder's files", errno);
    const int failed = ::fsync(fd) == 0 ? 0 : errno;
    ::close(fd);
    if (failed != 0) return error_from_errno("writing the data folder to disk", failed);
    return Ok{};
}

std::string read_mark(int fd) {
    char buffer[kMarkBytes + 1] = {};
    if (::pread(fd, buffer, kMarkBytes, 0) <= 0) return {};
    std::string text(buffer);
    text.erase(text.find_last_not_of(" \n") + 1);
    return text;
}

}  // namespace

Status sync_folder(const std::string& path) { return sync_path(path, O_RDONLY | O_DIRECTORY); }
Status sync_file(const std::string& path) { return sync_path(path, O_RDWR); }

Status create_private(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return error_from_errno("creating " + std::filesystem::path(path).filename().string(), errno);
    ::close(fd);
    return Ok{};
}

Result<DataFolder> DataFolder::lock(const std::string& path) {
    std::error_code failure;
    if (!std::filesystem::exists(path, failure)) {
        std::filesystem::create_directories(path, failure);
        if (failure) return error_from_errno("creating the data folder " + path, failure.value());
        std::filesystem::permissions(path, std::filesystem::perms::owner_all, failure);
        if (failure) return error_from_errno("protecting the data folder " + path, failure.value());
    }
    const int fd = ::open((path + "/gantry.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return error_from_errno("opening gantry.lock in the data folder " + path, errno);
    DataFolder folder(path, fd);
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) return error_from_errno("locking the data folder " + path, errno);
        const std::string owner = read_mark(fd);
        return conflict(fmt::format("another gantry ({}) already uses the data folder {}: stop it first, or start this one "
                                    "with another --data-dir.",
                                    owner.empty() || owner == kClean ? "just starting" : "pid " + owner, path));
    }
    const std::string before = read_mark(fd);
    folder.unclean_ = !before.empty() && before != kClean;
    GANTRY_TRY(folder.mark(fmt::format("{}", ::getpid())));
    return folder;
}

DataFolder::DataFolder(DataFolder&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)), unclean_(other.unclean_) {}

DataFolder::~DataFolder() {
    if (fd_ >= 0) ::close(fd_);
}

Status DataFolder::mark(const std::string& text) {
    const std::string line = fmt::format("{:<{}}\n", text, kMarkBytes - 1);
    if (::pwrite(fd_, line.data(), line.size(), 0) != static_cast<ssize_t>(line.size()) || ::fdatasync(fd_) != 0) {
        return error_from_errno("writing gantry.lock in the data folder", errno);
    }
    return Ok{};
}

Status DataFolder::mark_clean() { return mark(kClean); }

bool DataFolder::initialized() const { return ::access(file("initialized").c_str(), F_OK) == 0; }

Status DataFolder::mark_initialized() {
    if (initialized()) return Ok{};
    GANTRY_TRY(create_private(file("initialized")));
    return sync_folder(path_);
}

}  // namespace gantry::store
