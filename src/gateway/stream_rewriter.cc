#include "gateway/stream_rewriter.h"

#include "base/json.h"
#include "gateway/event_check.h"
#include "protocol/openai/errors.h"
#include "protocol/openai/upstream.h"

namespace gantry::gateway {
namespace {

namespace openai = protocol::openai;

Error nonsense() {
    return Error{ErrorCode::kUnavailable, "The engine sent something that is no part of an answer; the answer ends here. "
                                          "Try again.",
                 {}, "engine_crashed"};
}

// The engine's own words in an error event, in our shape.
Error engine_error(std::string_view data) {
    const Result<json::value> parsed = parse_json(data);
    if (parsed) {
        if (auto error = openai::error_of(500, *parsed)) return *std::move(error);
    }
    return nonsense();
}

void frame(std::string_view data, std::string& out) {
    if (data.find('\n') != std::string_view::npos || data.find('\r') != std::string_view::npos) {  // JSON over several lines: one data line for each
        out += http::sse_event(data);
        return;
    }
    out.append("data: ").append(data).append("\n\n");
}

}  // namespace

std::string StreamRewriter::begin() {
    std::string out;
    if (options_.translator != nullptr) options_.translator->begin(out);
    return out;
}

std::string StreamRewriter::end() {
    if (options_.translator == nullptr) return "data: [DONE]\n\n";
    std::string out;
    options_.translator->end(usage_, out);
    return out;
}

std::string StreamRewriter::broken(const Error& error) {
    if (options_.translator == nullptr) return "data: " + openai::error_json(error) + "\n\n";
    std::string out;
    options_.translator->broken(error, out);
    return out;
}

StreamRewriter::StreamRewriter(Options options)
    : options_(std::move(options)), model_json_(json::serialize(json::value(options_.model))) {}

Status StreamRewriter::take(const http::SseView& event, std::string& out) {
    if (done_) return Ok{};  // whatever stands behind the end is not for the client
    if (event.data.starts_with(openai::kStreamEnd)) {
        done_ = true;
        return Ok{};
    }
    const std::optional<EventFacts> facts = check_(event.data);
    if (!facts) return nonsense();
    if (facts->error || event.event == "error") return engine_error(event.data);
    if (facts->output) ++output_events_;
    const bool usage_unasked = facts->usage_key && !options_.wants_usage;
    if (facts->usage || facts->usages > 1 || (options_.foreign && facts->models != 1) || options_.translator != nullptr) {
        return rewrite(event, usage_unasked, out);
    }
    if (!usage_unasked && !options_.foreign) {
        frame(event.data, out);
        return Ok{};
    }
    change(event.data, *facts, usage_unasked);
    frame(changed_, out);
    return Ok{};
}

// The model's name replaced and "usage":null cut out, in the order in which they stand; the rest byte for byte.
void StreamRewriter::change(std::string_view data, const EventFacts& facts, bool usage_unasked) {
    const Span cut = usage_unasked ? facts.usage_member : Span{};
    const Span name = options_.foreign ? facts.model : Span{};
    changed_.clear();
    size_t from = 0;
    const auto replace = [&](const Span& span, std::string_view by) {
        changed_.append(data.substr(from, span.begin - from)).append(by);
        from = span.end;
    };
    const bool cut_first = cut.begin < name.begin;
    if (cut_first && usage_unasked) replace(cut, {});
    if (options_.foreign) replace(name, model_json_);
    if (!cut_first && usage_unasked) replace(cut, {});
    changed_.append(data.substr(from));
}

Status StreamRewriter::rewrite(const http::SseView& event, bool usage_unasked, std::string& out) {
    Result<json::value> parsed = parse_json(event.data);
    if (!parsed || !parsed->is_object()) return nonsense();
    json::object& chunk = parsed->get_object();
    if (auto usage = openai::usage_of(chunk)) {
        usage_ = usage;
        timings_ = openai::timings_of(chunk);
    }
    if (options_.translator != nullptr) {
        options_.translator->chunk(chunk, out);
        return Ok{};
    }
    if (usage_unasked) {
        if (openai::is_usage_chunk(chunk)) return Ok{};
        chunk.erase("usage");
    }
    if (options_.foreign) chunk["model"] = options_.model;
    if (!options_.foreign && !usage_unasked) {
        frame(event.data, out);  // only looked into
        return Ok{};
    }
    frame(json::serialize(chunk), out);
    return Ok{};
}

}  // namespace gantry::gateway
