#include "models/gguf_cursor.h"

#include <fmt/format.h>

namespace gantry::models {

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
