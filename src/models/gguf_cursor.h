#pragma once
// Reads a GGUF header front to back without ever going beyond it. Internal to this folder. Threads: a plain value.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "models/gguf_reader.h"

namespace gantry::models {

// Walks the header front to back through one buffer. After the first failure every read fails and `problem()` says why.
class Cursor {
public:
    explicit Cursor(const ByteSource& source)
        : source_(source), end_(std::min(source.size, kHeaderBytesMax)), buffer_(kBufferBytes) {}

    uint64_t position() const { return position_; }
    uint64_t left() const { return end_ - position_; }
    const std::string& problem() const { return problem_; }
    bool failed() const { return !problem_.empty(); }
    bool fail(std::string why) {
        if (problem_.empty()) problem_ = std::move(why);
        return false;
    }

    // All that is read is little-endian, as the machines are that this runs on.
    template <class T>
    bool number(T& out) {
        return bytes(reinterpret_cast<char*>(&out), sizeof(T));
    }
    bool bytes(char* out, uint64_t length);
    bool skip(uint64_t length) {
        if (!within(length)) return false;
        position_ += length;
        return true;
    }
    // A string of at most `limit` bytes; a longer one fails with `what` named.
    bool text(std::string& out, uint64_t limit, const std::string& what);
    // The first bytes of a string, the rest skipped.
    bool text_cut(std::string& out);

private:
    static constexpr uint64_t kBufferBytes = 64 * 1024;

    bool within(uint64_t length) { return !failed() && (length <= left() || beyond(length)); }
    bool beyond(uint64_t length);
    bool filled();

    const ByteSource& source_;
    const uint64_t end_;
    std::vector<char> buffer_;
    uint64_t buffer_begin_ = 0;
    uint64_t buffer_size_ = 0;
    uint64_t position_ = 0;
    std::string problem_;
};

}  // namespace gantry::models
