#include "base/platform/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace gantry::platform {

Result<FileLock> FileLock::try_lock(const std::string& path) {
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd.valid()) {
        return error_from_errno("cannot open the lock file " + path, errno);
    }
    while (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) {
            return conflict("the lock " + path + " is held by another process");
        }
        if (errno != EINTR) {
            return error_from_errno("cannot lock " + path, errno);
        }
    }
    return FileLock(std::move(fd));
}

Result<FileLock> FileLock::try_lock_with_pid(const std::string& path, const std::string& what) {
    Result<FileLock> lock = try_lock(path);
    if (!lock.ok()) {
        if (lock.error().code != ErrorCode::kConflict) {
            return lock;
        }
        const Result<std::string> text = read_file(path, 64);
        const long holder = text.ok() ? std::strtol(text->c_str(), nullptr, 10) : 0;
        return conflict(what + " is in use by another gantry process" +
                        (holder > 0 ? " (pid " + std::to_string(holder) + ")" : "") +
                        "; stop that one, or use another --data-dir");
    }
    const std::string pid = std::to_string(::getpid()) + "\n";
    if (::ftruncate(lock->handle(), 0) != 0 ||
        ::pwrite(lock->handle(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
        return error_from_errno("cannot write the lock file " + path, errno);
    }
    return lock;
}

}  // namespace gantry::platform
