#pragma once
// Files as this system has them: handles that close themselves, writes that are whole or not there, run folders for sockets.
// Threads: functions may be called from any; a UniqueFd is a plain value.

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace gantry::platform {

// Owns one open file, socket or process watch.
class UniqueFd {
public:
    UniqueFd() = default;
    explicit UniqueFd(int fd) : fd_(fd) {}
    UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    UniqueFd& operator=(UniqueFd&& other) noexcept {
        if (this != &other) {
            reset(std::exchange(other.fd_, -1));
        }
        return *this;
    }
    UniqueFd(const UniqueFd&) = delete;
    UniqueFd& operator=(const UniqueFd&) = delete;
    ~UniqueFd() { reset(); }

    int get() const { return fd_; }
    bool valid() const { return fd_ >= 0; }
    int release() { return std::exchange(fd_, -1); }
    void reset(int fd = -1);

private:
    int fd_ = -1;
};

// The whole file, at most `limit` bytes (kTooLarge beyond). kNotFound, kPermissionDenied.
Result<std::string> read_file(const std::string& path, size_t limit = 1u << 20);
// How a file looks now, a folder with all that is in it, or the first of a model's parts with what is beside it: another text says that
// it changed. "absent": there is none.
std::string file_identity(const std::string& path);
// The last `limit` bytes of a file; empty when it can't be read.
std::string read_tail(const std::string& path, size_t limit);
// Replaces `path`: a reader, or a machine that lost its power, sees the old text or the new one whole. When this returns,
// the file and its name are on disk (temporary file, fsync, rename, fsync of the folder).
Status write_file_atomic(const std::string& path, std::string_view text, mode_t mode = 0600);
// Creates the folder and its parents; `mode` is for those created here. Not an error: it exists already.
Status make_folders(const std::string& path, mode_t mode = 0700);
// As make_folders for one folder that others must not have prepared: refuses a link, a folder of somebody else, and takes
// away the rights of group and others. For folders under /tmp.
Status make_private_folder(const std::string& path);
// Deletes a folder with all in it; follows no links. Not an error: it does not exist.
Status remove_tree(const std::string& path);
// Copies `from` over `to` and empties `from` in place, so that whoever appends to it goes on at its beginning. What is
// written between the copy and the cut is lost.
Status copy_and_truncate(const std::string& from, const std::string& to);

// A Unix socket's path may have this many bytes (sun_path less its final zero).
inline constexpr size_t kSocketPathMax = 107;
bool socket_path_fits(std::string_view path);

}  // namespace gantry::platform
