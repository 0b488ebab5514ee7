#include "base/log_tail.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace gantry {
namespace {

int open_log(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return -1;
    struct stat about{};
    if (::fstat(fd, &about) != 0 || !S_ISREG(about.st_mode)) {
        ::close(fd);
        return -1;
    }
    return fd;
}

off_t size_of(int fd) {
    struct stat about{};
    return ::fstat(fd, &about) == 0 ? about.st_size : 0;
}

// Up to `length` bytes from `offset`; less at the end of the file.
std::string read_at(int fd, off_t offset, size_t length) {
    std::string out(length, '\0');
    size_t done = 0;
    while (done < length) {
        const ssize_t got = ::pread(fd, out.data() + done, length - done, offset + static_cast<off_t>(done));
        if (got <= 0) break;
        done += static_cast<size_t>(got);
    }
    out.resize(done);
    return out;
}

size_t lines_in(const std::string& text) {
    return static_cast<size_t>(std::count(text.begin(), text.end(), '\n')) + (text.empty() || text.back() == '\n' ? 0 : 1);
}

std::string keep_last_lines(std::string text, size_t lines) {
    if (lines == 0) return {};
    size_t at = text.size();
    if (at > 0 && text[at - 1] == '\n') --at;  // the last line's own end
    while (lines > 0 && at > 0) {
        const size_t newline = text.rfind('\n', at - 1);
        if (newline == std::string::npos) return text;
        at = newline;
        --lines;
    }
    return at == 0 ? text : text.substr(at + 1);
}

}  // namespace

LogTail::~LogTail() {
    if (fd_ >= 0) ::close(fd_);
}

void LogTail::open_newest() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = files_.empty() ? -1 : open_log(files_.back());
    offset_ = 0;
}

std::string LogTail::last_lines(size_t lines) {
    open_newest();
    std::string text;
    if (fd_ >= 0) {
        const off_t size = size_of(fd_);
        const off_t from = std::max<off_t>(0, size - static_cast<off_t>(kBytesMax));
        text = read_at(fd_, from, static_cast<size_t>(size - from));
        offset_ = from + static_cast<off_t>(text.size());
    }
    // Older files, while lines are missing.
    for (size_t k = files_.size(); k-- > 1 && lines_in(text) < lines && text.size() < kBytesMax;) {
        const int fd = open_log(files_[k - 1]);
        if (fd < 0) continue;
        const off_t size = size_of(fd);
        const off_t from = std::max<off_t>(0, size - static_cast<off_t>(kBytesMax - text.size()));
        text = read_at(fd, from, static_cast<size_t>(size - from)) + text;
        ::close(fd);
    }
    return keep_last_lines(std::move(text), lines);
}

bool LogTail::rotated() const {
    if (files_.empty()) return false;
    struct stat ours{}, there{};
    if (::stat(files_.back().c_str(), &there) != 0) return false;
    return fd_ < 0 || ::fstat(fd_, &ours) != 0 || ours.st_ino != there.st_ino || ours.st_dev != there.st_dev;
}

std::string LogTail::more() {
    if (fd_ >= 0) {
        if (size_of(fd_) < offset_) offset_ = 0;  // cut and written anew
        std::string text = read_at(fd_, offset_, kPieceMax);
        offset_ += static_cast<off_t>(text.size());
        if (!text.empty()) return text;
    }
    if (!rotated()) return {};
    open_newest();
    if (fd_ < 0) return {};
    std::string text = read_at(fd_, 0, kPieceMax);
    offset_ = static_cast<off_t>(text.size());
    return text;
}

}  // namespace gantry
