#include "models/gguf_cursor.h"

#include <fmt/format.h>

namespace gantry::models {

bool Cursor::bytes(char* out, uint64_t length) {
    if (!within(length)) return false;
    while (length > 0) {
        if (!filled()) return false;
        const uint64_t here = std::min(length, buffer_begin_ + buffer_size_ - position_);
        std::memcpy(out, buffer_.data() + (position_ - buffer_begin_), here);
        out += here;
        position_ += here;
        length -= here;
    }
    return true;
}

bool Cursor::text(std::string& out, uint64_t limit, const std::string& what) {
    uint64_t length = 0;
    if (!number(length)) return false;
    if (length > limit) return fail(fmt::format("{} is {} bytes long, over the limit of {}", what, length, limit));
    if (!within(length)) return false;
    out.resize(length);
    return bytes(out.data(), length);
}

bool Cursor::text_cut(std::string& out) {
    uint64_t length = 0;
    if (!number(length) || !within(length)) return false;
    out.resize(std::min<uint64_t>(length, kTextBytesKept));
    return bytes(out.data(), out.size()) && skip(length - out.size());
}

bool Cursor::beyond(uint64_t length) {
    if (end_ < source_.size) {
        return fail(fmt::format("its header is longer than {} MiB", kHeaderBytesMax >> 20));
    }
    return fail(fmt::format("it ends inside its header (at byte {}, {} more needed)", source_.size, length - left()));
}

bool Cursor::filled() {
    if (position_ >= buffer_begin_ && position_ < buffer_begin_ + buffer_size_) return true;
    buffer_begin_ = position_;
    buffer_size_ = std::min(kBufferBytes, left());
    if (source_.read(position_, buffer_.data(), buffer_size_)) return true;
    buffer_size_ = 0;
    return fail(fmt::format("it cannot be read at byte {}", position_));
}

}  // namespace gantry::models
