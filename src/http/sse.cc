// Server-sent events, after the WHATWG's "server-sent events" (the event stream's interpretation).

#include <algorithm>

#include "http/http.h"

namespace gantry::http {
namespace {

// Where the first line feed or carriage return stands.
size_t find_line_end(std::string_view text) {
    const size_t feed = text.find('\n');
    const size_t carriage_return = text.substr(0, feed).find('\r');
    return std::min(feed, carriage_return);
}

// Calls use(line) for each line of `text`, whichever of LF, CRLF and CR ends it; the last needs no end.
template <class Use>
void for_each_line(std::string_view text, const Use& use) {
    while (true) {
        const size_t end = find_line_end(text);
        use(text.substr(0, end));
        if (end == std::string_view::npos) return;
        const bool pair = text[end] == '\r' && end + 1 < text.size() && text[end + 1] == '\n';
        text.remove_prefix(end + (pair ? 2 : 1));
    }
}

}  // namespace

Status SseReader::take_line(std::string_view line, std::vector<SseEvent>& out) {
    if (line.empty()) {
        if (has_data_) {
            pending_.data.pop_back();  // the line feed behind the last line
            out.push_back(std::move(pending_));
        }
        pending_ = {};
        has_data_ = false;
        return Ok{};
    }
    const size_t colon = line.find(':');
    const std::string_view name = line.substr(0, colon);
    std::string_view value = colon == std::string_view::npos ? std::string_view{} : line.substr(colon + 1);
    if (value.starts_with(' ')) value.remove_prefix(1);
    if (name == "data") {
        if (pending_.data.size() + value.size() > line_bytes_) {
            return invalid_argument("an event of the stream is longer than the limit of " + std::to_string(line_bytes_) +
                                    " bytes");
        }
        pending_.data.reserve(pending_.data.size() + value.size() + 1);
        pending_.data.append(value).push_back('\n');
        has_data_ = true;
    } else if (name == "event") {
        pending_.event = value;
    }
    return Ok{};  // comments, ids and retry times are of no use to us
}

Result<std::vector<SseEvent>> SseReader::feed(std::string_view bytes) {
    std::vector<SseEvent> events;
    while (!bytes.empty()) {
        if (skip_lf_) {
            skip_lf_ = false;
            if (bytes.front() == '\n') {
                bytes.remove_prefix(1);
                continue;
            }
        }
        const size_t end = find_line_end(bytes);
        if (buffer_.size() + std::min(end, bytes.size()) > line_bytes_) {
            return invalid_argument("a line of the event stream is longer than the limit of " +
                                    std::to_string(line_bytes_) + " bytes");
        }
        if (end == std::string_view::npos) {
            buffer_.append(bytes);
            break;
        }
        std::string_view line = bytes.substr(0, end);
        if (!buffer_.empty()) {
            buffer_.append(line);
            line = buffer_;
        }
        if (!started_ && line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);
        started_ = true;
        GANTRY_TRY(take_line(line, events));
        buffer_.clear();
        skip_lf_ = bytes[end] == '\r';
        bytes.remove_prefix(end + 1);
    }
    return events;
}

std::string sse_event(std::string_view data, std::string_view event) {
    std::string out;
    out.reserve(data.size() + event.size() + 24);
    if (!event.empty()) out.append("event: ").append(event.substr(0, event.find_first_of("\r\n"))).append("\n");
    for_each_line(data, [&out](std::string_view line) { out.append("data: ").append(line).append("\n"); });
    return out.append("\n");
}

}  // namespace gantry::http
