#include "answer_parser.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>

namespace gantry::load {

void AnswerParser::reset() {
    state_ = State::kHead;
    text_.clear();
    left_ = 0;
    status_ = 0;
    keeps_alive_ = true;
}

bool AnswerParser::take_head() {
    std::transform(text_.begin(), text_.end(), text_.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (!text_.starts_with("http/1.1 ") || text_.size() < 12) return false;
    status_ = std::atoi(text_.c_str() + 9);
    keeps_alive_ = text_.find("\r\nconnection: close") == std::string::npos;
    if (const size_t length = text_.find("\r\ncontent-length:"); length != std::string::npos) {
        left_ = std::strtoul(text_.c_str() + length + 17, nullptr, 10);
        state_ = left_ == 0 ? State::kDone : State::kFixed;
    } else if (text_.find("\r\ntransfer-encoding: chunked") != std::string::npos) {
        state_ = State::kSize;
    } else {
        return false;
    }
    text_.clear();
    return true;
}

void AnswerParser::take_size() {
    left_ = std::strtoul(text_.c_str(), nullptr, 16);
    state_ = left_ == 0 ? State::kTrailer : State::kChunk;
    text_.clear();
}

void AnswerParser::take_body(std::string_view& bytes) {
    const size_t taken = std::min(left_, bytes.size());
    body_(bytes.substr(0, taken));
    bytes.remove_prefix(taken);
    left_ -= taken;
    if (left_ > 0) return;
    state_ = state_ == State::kFixed ? State::kDone : State::kChunkEnd;
}

bool AnswerParser::feed(std::string_view bytes) {
    while (!bytes.empty()) {
        if (state_ == State::kDone) return false;   // nobody asked for more
        if (state_ == State::kChunk || state_ == State::kFixed) {
            take_body(bytes);
            continue;
        }
        const size_t end = bytes.find('\n');
        const bool whole = end != std::string_view::npos;
        text_.append(bytes.substr(0, whole ? end + 1 : bytes.size()));
        if (!whole) return true;
        bytes.remove_prefix(end + 1);
        if (state_ == State::kHead) {
            if (text_.ends_with("\r\n\r\n") && !take_head()) return false;
        } else if (state_ == State::kSize) {
            take_size();
        } else {   // the line end behind a chunk; or trailers, of which nobody sends any
            state_ = state_ == State::kChunkEnd ? State::kSize : State::kDone;
            text_.clear();
        }
    }
    return true;
}

}  // namespace gantry::load
