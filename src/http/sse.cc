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

// What is to outlive the bytes added.
void SseReader::keep_data() {
    if (only_.data() == nullptr) return;
    data_.append(only_).push_back('\n');
    only_ = {};
}

// The end of an event; false: it had no data, and is none.
bool SseReader::give(SseView& event) {
    given_ = true;
    if (!std::exchange(has_data_, false)) return false;
    event.event = event_;
    event.data = only_.data() != nullptr ? only_ : std::string_view(data_).substr(0, data_.size() - 1);
    only_ = {};
    return true;
}

// `stays`: the line is of the bytes added, and no copy.
Status SseReader::take_line(std::string_view line, bool stays) {
    const size_t colon = line.find(':');
    const std::string_view name = line.substr(0, colon);
    std::string_view value = colon == std::string_view::npos ? line.substr(line.size()) : line.substr(colon + 1);
    if (value.starts_with(' ')) value.remove_prefix(1);
    if (name == "data") {
        keep_data();
        if (data_.size() + value.size() > line_bytes_) {
            return invalid_argument("an event of the stream is longer than the limit of " + std::to_string(line_bytes_) + " bytes");
        }
        only_ = value;
        if (has_data_ || !stays) keep_data();
        has_data_ = true;
    } else if (name == "event") {
        event_ = value;
    }
    return Ok{};  // comments, ids and retry times are of no use to us
}

Result<bool> SseReader::next(SseView& event) {
    while (!rest_.empty()) {
        if (std::exchange(given_, false)) {
            event_.clear();
            data_.clear();
        }
        if (std::exchange(skip_lf_, false) && rest_.front() == '\n') {
            rest_.remove_prefix(1);
            continue;
        }
        const size_t end = find_line_end(rest_);
        if (buffer_.size() + std::min(end, rest_.size()) > line_bytes_) {
            return invalid_argument("a line of the event stream is longer than the limit of " + std::to_string(line_bytes_) + " bytes");
        }
        if (end == std::string_view::npos) {
            buffer_.append(rest_);
            rest_ = {};
            break;
        }
        const bool whole = buffer_.empty();
        if (!whole) buffer_.append(rest_.substr(0, end));
        std::string_view line = whole ? rest_.substr(0, end) : std::string_view(buffer_);
        skip_lf_ = rest_[end] == '\r';
        rest_.remove_prefix(end + 1);
        if (!started_ && line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);
        started_ = true;
        if (line.empty()) {
            buffer_.clear();
            if (give(event)) return true;
            continue;
        }
        GANTRY_TRY(take_line(line, whole));
        buffer_.clear();
    }
    keep_data();
    return false;
}

Result<std::vector<SseEvent>> SseReader::feed(std::string_view bytes) {
    std::vector<SseEvent> events;
    add(bytes);
    while (true) {
        SseView event;
        const Result<bool> more = next(event);
        if (!more) return more.error();
        if (!*more) return events;
        events.push_back({std::string(event.event), std::string(event.data)});
    }
}

std::string sse_event(std::string_view data, std::string_view event) {
    std::string out;
    out.reserve(data.size() + event.size() + 24);
    if (!event.empty()) out.append("event: ").append(event.substr(0, event.find_first_of("\r\n"))).append("\n");
    for_each_line(data, [&out](std::string_view line) { out.append("data: ").append(line).append("\n"); });
    return out.append("\n");
}

}  // namespace gantry::http
