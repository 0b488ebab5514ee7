#include "engine_server/detokenizer.h"

#include <algorithm>
#include <utility>

#include "protocol/openai/utf8.h"

namespace gantry::engine_server {
namespace {

// The length of the longest end of `text` that is a beginning of `stop`, but not all of it.
size_t overlap(std::string_view text, std::string_view stop) {
    for (size_t length = std::min(text.size(), stop.size() - 1); length > 0; --length) {
        if (text.substr(text.size() - length) == stop.substr(0, length)) {
            return length;
        }
    }
    return 0;
}

}  // namespace

Detokenizer::Output Detokenizer::push(std::string_view bytes, bool armed) {
    bytes_ += bytes;
    bytes_.erase(0, protocol::openai::append_utf8(held_, bytes_, false));
    Output output;
    if (!armed || stops_.empty()) {
        output.text.swap(held_);
        return output;
    }
    size_t first = std::string::npos;
    size_t hold = 0;
    for (const std::string& stop : stops_) {
        if (const size_t at = held_.find(stop); at < first) {
            first = at;
            stopped_by_ = stop;
        }
        hold = std::max(hold, overlap(held_, stop));
    }
    if (first != std::string::npos) {
        output.text = held_.substr(0, first);
        output.stopped = true;
        held_.clear();
        bytes_.clear();
        return output;
    }
    output.text = held_.substr(0, held_.size() - hold);
    held_.erase(0, held_.size() - hold);
    return output;
}

std::string Detokenizer::finish() {
    protocol::openai::append_utf8(held_, bytes_, true);
    bytes_.clear();
    return std::exchange(held_, {});
}

}  // namespace gantry::engine_server
