// Opening a model file by the rules that gguf_reader.h names.

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>

#include "models/gguf_reader.h"

namespace gantry::models {
namespace {

Error invalid(const std::string& what) {
    return invalid_argument("invalid model file: " + what, {}, "invalid_model_file");
}

// Closes at the end of its scope.
struct File {
    int descriptor = -1;
    ~File() {
        if (descriptor >= 0) ::close(descriptor);
    }
};

bool read_at(int descriptor, uint64_t offset, char* out, size_t length) {
    while (length > 0) {
        const ssize_t got = ::pread(descriptor, out, length, static_cast<off_t>(offset));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;  // 0: the file became shorter meanwhile
        out += got;
        offset += static_cast<uint64_t>(got);
        length -= static_cast<size_t>(got);
    }
    return true;
}

Error not_openable(int error_number) {
    switch (error_number) {
        case ENOENT: case ENOTDIR: case ENAMETOOLONG:
            return not_found("the model file does not exist on this machine; check its path", "model_file_not_found");
        case EACCES: case EPERM:
            return Error{ErrorCode::kPermissionDenied,
                         "the model file may not be read by the user that Gantry runs as; change its permissions", {}, {}};
        case ELOOP:
            return invalid("its path is a symbolic link; give the path of the file itself");
        default: return error_from_errno("the model file cannot be opened", error_number);
    }
}

}  // namespace

Result<ModelMeta> read_gguf_file(const std::string& path) {
    if (path.empty() || path.find('\0') != std::string::npos) return invalid("its path is empty or holds a NUL");
    // O_NONBLOCK: a FIFO must not hold us up before we know that it is one.
    File file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)};
    if (file.descriptor < 0) return not_openable(errno);
    struct stat status {};
    struct statfs system {};
    if (::fstat(file.descriptor, &status) != 0) return error_from_errno("the model file cannot be examined", errno);
    if (!S_ISREG(status.st_mode)) return invalid("it is no regular file");
    if (::fstatfs(file.descriptor, &system) != 0) return error_from_errno("the model file cannot be examined", errno);
    if (system.f_type == PROC_SUPER_MAGIC || system.f_type == SYSFS_MAGIC) return invalid("it is no regular file");
    ByteSource source;
    source.size = static_cast<uint64_t>(status.st_size);
    source.read = [descriptor = file.descriptor](uint64_t offset, char* out, size_t length) {
        return read_at(descriptor, offset, out, length);
    };
    return read_gguf(source);
}

}  // namespace gantry::models
