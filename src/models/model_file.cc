#include "models/model_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string_view>

namespace gantry::models {
namespace {

constexpr std::string_view kPrefix = "invalid model file: ";

// Closes with the last that holds it.
struct File {
    int descriptor = -1;
    File() = default;
    explicit File(int opened) : descriptor(opened) {}
    File(const File&) = delete;
    File& operator=(const File&) = delete;
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
            return invalid_model("its path is a symbolic link that leads elsewhere; give the path of the file itself");
        default: return error_from_errno("the model file cannot be opened", error_number);
    }
}

// The target of a link as Hugging Face's cache makes it: "../../blobs/<digest>", one ".." more a folder deeper.
bool leads_to_blob(std::string_view target) {
    constexpr size_t kUpsMax = 8;
    size_t ups = 0;
    for (; target.starts_with("../"); ++ups) target.remove_prefix(3);
    if (ups < 2 || ups > kUpsMax || !target.starts_with("blobs/")) return false;
    target.remove_prefix(6);
    return (target.size() == 40 || target.size() == 64) && target.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// Links are followed once, and those of the hubs' caches only: to a blob of the same model, or, as ModelScope makes of "Qwen2.5" a
// "Qwen2___5", to a name in the same folder.
int open_following(const std::string& path) {
    constexpr int kFlags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;   // a FIFO must not hold us up before we know it for one
    const int opened = ::open(path.c_str(), kFlags);
    if (opened >= 0 || errno != ELOOP) return opened;
    char buffer[4096];
    const ssize_t length = ::readlink(path.c_str(), buffer, sizeof buffer);
    const std::string_view target(buffer, static_cast<size_t>(std::max<ssize_t>(length, 0)));
    const std::string folder = path.substr(0, path.rfind('/') + 1);
    const bool beside = plain_name(std::string(target)) ||
                        (!folder.empty() && target.starts_with(folder) && plain_name(std::string(target.substr(folder.size()))));
    if (!beside && !leads_to_blob(target)) {
        errno = ELOOP;
        return -1;
    }
    return ::open((target.starts_with('/') ? std::string(target) : folder + std::string(target)).c_str(), kFlags);
}

}  // namespace

std::string shown(std::string_view text, size_t limit) {
    std::string out;
    for (size_t i = 0; i < text.size();) {
        const auto c = static_cast<unsigned char>(text[i]);
        const size_t length = c < 0x80 ? 1 : c >= 0xC2 && c < 0xE0 ? 2 : c >= 0xE0 && c < 0xF0 ? 3
                              : c >= 0xF0 && c < 0xF5 ? 4 : 0;
        bool good = length > 0 && i + length <= text.size() && c >= 0x20 && c != 0x7F;
        uint32_t point = length > 1 ? c & (0xFFu >> (length + 1)) : c;
        for (size_t k = 1; good && k < length; ++k) {
            const auto next = static_cast<unsigned char>(text[i + k]);
            good = (next & 0xC0) == 0x80;
            point = point << 6 | (next & 0x3Fu);
        }
        good = good && !(length == 3 && (point < 0x800 || (point >= 0xD800 && point < 0xE000))) &&
               !(length == 4 && (point < 0x10000 || point > 0x10FFFF)) && !(point >= 0x80 && point < 0xA0);
        const size_t taken = good ? length : 1;
        if (out.size() + taken > limit) break;
        out.append(good ? text.substr(i, taken) : std::string_view("?"));
        i += taken;
    }
    return out;
}

Error invalid_model(const std::string& what) {
    return invalid_argument(std::string(kPrefix) + what, {}, "invalid_model_file");
}

Error in_file(const std::string& name, Error error) {
    if (!error.message.starts_with(kPrefix)) return error;
    error.message = fmt::format("{}{}: {}", kPrefix, name, error.message.substr(kPrefix.size()));
    return error;
}

Result<ByteSource> open_model_file(const std::string& path) {
    if (path.empty() || path.find('\0') != std::string::npos) return invalid_model("its path is empty or holds a NUL");
    const auto file = std::make_shared<const File>(open_following(path));   // shared because a ByteSource is copied with its function
    if (file->descriptor < 0) return not_openable(errno);
    struct stat status {};
    struct statfs system {};
    if (::fstat(file->descriptor, &status) != 0) return error_from_errno("the model file cannot be examined", errno);
    if (!S_ISREG(status.st_mode)) return invalid_model("it is no regular file");
    if (::fstatfs(file->descriptor, &system) != 0) return error_from_errno("the model file cannot be examined", errno);
    if (system.f_type == PROC_SUPER_MAGIC || system.f_type == SYSFS_MAGIC) return invalid_model("it is no regular file");
    ByteSource source;
    source.size = static_cast<uint64_t>(status.st_size);
    source.read = [file](uint64_t offset, char* out, size_t length) {
        return read_at(file->descriptor, offset, out, length);
    };
    return source;
}

Result<ByteSource> Reading::open(const std::string& path) {
    auto source = open_model_file(path);
    if (!source) return source;
    source->read = [this, read = std::move(source->read)](uint64_t offset, char* out, size_t length) {
        return may_read(length) && read(offset, out, length);
    };
    return source;
}

bool Reading::may_read(uint64_t bytes) {
    bytes_ += bytes;   // a read is at most a header, a budget far below 2^64
    gave_up_ = gave_up_ || (limits_.give_up && limits_.give_up());
    return bytes_ <= limits_.bytes_max && !gave_up_;
}

Status Reading::within() const {
    if (bytes_ > limits_.bytes_max) {
        return invalid_model(fmt::format("its files say more of themselves than {} MiB, which no model needs", limits_.bytes_max >> 20));
    }
    if (gave_up_) return invalid_model("reading its files was given up: they say too much of themselves, or lie on a disk that is too slow");
    return Ok{};
}

Result<json::object> Reading::json_file(const std::string& path, uint64_t bytes_max) {
    const auto source = open(path);
    if (!source) return source.error();
    if (source->size > bytes_max) return invalid_model(fmt::format("it is larger than {} KiB", bytes_max >> 10));
    std::string text(source->size, '\0');
    if (!source->read(0, text.data(), text.size())) return invalid_model("it cannot be read");
    auto value = parse_json(text);
    if (!value) return invalid_model(value.error().message);
    if (!value->is_object()) return invalid_model("it holds no JSON object");
    return std::move(value->get_object());
}

Result<std::vector<std::string>> list_model_folder(const std::string& path, size_t most) {
    // Without O_DIRECTORY, with which a symbolic link would look like something that is not there.
    std::string trimmed = path;
    while (trimmed.size() > 1 && trimmed.back() == '/') trimmed.pop_back();
    const int opened = open_following(trimmed);
    if (opened < 0) return not_openable(errno);
    DIR* const folder = ::fdopendir(opened);
    if (folder == nullptr) {
        const int error_number = errno;
        ::close(opened);
        return error_number == ENOTDIR ? invalid_model("it is no folder")
                                       : error_from_errno("the model's folder cannot be listed", error_number);
    }
    std::vector<std::string> names;
    bool too_many = false;
    while (const dirent* const entry = ::readdir(folder)) {
        const std::string_view name = entry->d_name;
        if (name == "." || name == "..") continue;
        too_many = names.size() == most;
        if (too_many) break;
        names.emplace_back(name);
    }
    ::closedir(folder);
    if (too_many) return invalid_model(fmt::format("its folder holds more than {} files", most));
    std::sort(names.begin(), names.end());
    return names;
}

bool plain_name(const std::string& name) {
    return !name.empty() && name.size() <= 255 && name != "." && name != ".." &&
           std::none_of(name.begin(), name.end(), [](char c) {
               const auto byte = static_cast<unsigned char>(c);
               return c == '/' || c == '\\' || byte < 0x20 || byte == 0x7F;
           });
}

}  // namespace gantry::models
