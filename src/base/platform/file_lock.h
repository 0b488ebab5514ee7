#pragma once
// An advisory lock on a file that ends with the processes that hold it, however they die. It is bound to the open file, not
// to the process: a child that inherits handle() holds it too, and it is free when the last of them is gone.

#include <cstdint>
#include <string>

#include "base/platform/files.h"
#include "base/result.h"

namespace gantry::platform {

class FileLock {
public:
    // Creates the file if need be (mode 0600) and locks it without waiting. kConflict: somebody holds it.
    static Result<FileLock> try_lock(const std::string& path);
    // For folders that one process owns: writes this process's id into the file, and a kConflict names the holder's.
    static Result<FileLock> try_lock_with_pid(const std::string& path, const std::string& what);

    int handle() const { return fd_.get(); }

private:
    explicit FileLock(UniqueFd fd) : fd_(std::move(fd)) {}
    UniqueFd fd_;
};

}  // namespace gantry::platform
