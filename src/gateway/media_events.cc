#include "gateway/media_events.h"

#include <algorithm>
#include <limits>

#include "protocol/openai/errors.h"
#include "protocol/openai/fields.h"
#include "protocol/openai/images.h"

namespace gantry::gateway {
namespace {

namespace openai = protocol::openai;

constexpr size_t kNameMax = 64;

Error nonsense() {
    return Error{ErrorCode::kUnavailable, "The engine sent something that is no part of an answer; the answer ends here. Try again.", {},
                 "engine_crashed"};
}

bool is_event_name(std::string_view name) {
    return name.size() <= kNameMax && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_';
    });
}

std::optional<uint32_t> count_at(const json::object& object, const char* key) {
    const json::value* value = openai::find(object, key);
    if (value == nullptr) return std::nullopt;
    const Result<int64_t> count = openai::as_integer(*value, key, 0, std::numeric_limits<uint32_t>::max());
    return count ? std::optional(static_cast<uint32_t>(*count)) : std::nullopt;
}

double seconds_at(const json::object& object, const char* key) {
    const json::value* value = openai::find(object, key);
    if (value == nullptr) return 0;
    const Result<double> seconds = openai::as_number(*value, key, 0, kAudioSecondsMax);
    return seconds ? *seconds : 0;
}

}  // namespace

MediaUsage media_usage(const json::object& answer) {
    MediaUsage out;
    if (const json::object* usage = openai::object_at(answer, "usage")) {
        out.input_tokens = count_at(*usage, "input_tokens");
        out.output_tokens = count_at(*usage, "output_tokens");
        if (!out.input_tokens) out.input_tokens = count_at(*usage, "prompt_tokens");
        if (!out.output_tokens) out.output_tokens = count_at(*usage, "completion_tokens");
        out.audio_seconds = seconds_at(*usage, "seconds");
    }
    if (out.audio_seconds == 0) out.audio_seconds = seconds_at(answer, "duration");   // of verbose_json
    if (const json::array* images = openai::array_at(answer, "data")) {
        out.images = static_cast<uint32_t>(std::min<uint64_t>(images->size(), openai::kImagesMax));
    }
    return out;
}

Status MediaEvents::take(const http::SseEvent& event, std::string& out) {
    if (done_) return Ok{};   // whatever stands behind the end is not for the client
    if (event.data == "[DONE]") {
        done_ = true;
        return Ok{};
    }
    Result<json::value> parsed = parse_json(event.data);
    if (!parsed || !parsed->is_object() || !is_event_name(event.event)) return nonsense();
    json::object& fields = parsed->get_object();
    const json::value* error = openai::find(fields, "error");
    if (error != nullptr || event.event == "error") {
        if (auto said = openai::error_of(500, *parsed)) return *std::move(said);
        return nonsense();
    }
    ++events_;
    const std::string_view type = openai::text_at(fields, "type");
    const bool last = type.ends_with(".done") || type.ends_with(".completed");
    if (fields.contains("usage") || last) {
        const MediaUsage more = media_usage(fields);
        if (more.input_tokens) usage_.input_tokens = more.input_tokens;
        if (more.output_tokens) usage_.output_tokens = more.output_tokens;
        usage_.audio_seconds = std::max(usage_.audio_seconds, more.audio_seconds);
        if (last && fields.contains("b64_json") && usage_.images < openai::kImagesMax) ++usage_.images;
    }
    out += kept_;
    kept_.clear();
    finished_ = finished_ || last;
    if (fields.contains("model")) fields["model"] = model_;
    const std::string name = event.event.empty() || event.event == type ? std::string(event.event) : std::string();
    std::string framed = http::sse_event(fields.contains("model") ? json::serialize(fields) : event.data, name);
    (last ? kept_ : out) += framed;
    return Ok{};
}

std::string MediaEvents::end() { return std::exchange(kept_, {}) + (done_ ? "data: [DONE]\n\n" : ""); }

std::string MediaEvents::broken(const Error& error) { return "data: " + openai::error_json(error) + "\n\n"; }

}  // namespace gantry::gateway
