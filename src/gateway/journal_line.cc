#include <algorithm>
#include <limits>

#include "base/json_arena.h"
#include "gateway/meter.h"

namespace gantry::gateway {
namespace {

constexpr size_t kUsualBytes = 400;

std::string text_at(const json::object& line, const char* key) {
    const json::value* value = line.if_contains(key);
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

int64_t number_at(const json::object& line, const char* key) {
    const json::value* value = line.if_contains(key);
    return value != nullptr && value->is_int64() ? value->get_int64() : 0;
}

uint32_t count_at(const json::object& line, const char* key) {
    const int64_t number = number_at(line, key);
    return number < 0 || number > std::numeric_limits<uint32_t>::max() ? 0 : static_cast<uint32_t>(number);
}

bool flag_at(const json::object& line, const char* key) {
    const json::value* value = line.if_contains(key);
    return value != nullptr && value->is_bool() && value->get_bool();
}

}  // namespace

std::string to_journal_line(const UsageRecord& record) {
    std::string line;   // a document of our own making: one line a request, so that it is written straight
    line.reserve(kUsualBytes);
    const auto key = [&line](const char* name) { line.append(line.empty() ? "{\"" : ",\"").append(name).append("\":"); };
    const auto text = [&](const char* name, std::string_view value) {
        key(name);
        const bool plain = std::all_of(value.begin(), value.end(), [](char c) { return c >= 0x20 && c != '"' && c != '\\' && c != 0x7f; });
        if (plain) {
            line.append("\"").append(value).append("\"");
        } else {
            line.append(json::serialize(json::value(value)));
        }
    };
    const auto number = [&](const char* name, int64_t value) {
        key(name);
        line += std::to_string(value);
    };
    const auto flag = [&](const char* name, bool value) {
        key(name);
        line += value ? "true" : "false";
    };
    text("id", record.request_id);
    number("at", to_unix_ms(record.at));
    text("user", record.user_id.text);
    text("key", record.key_id.text);
    text("model", record.model);
    text("instance", record.instance_id.text);
    text("operation", record.operation);
    number("status", record.status);
    flag("aborted", record.aborted);
    flag("estimated", record.estimated);
    number("prompt", record.prompt_tokens);
    number("cached", record.cached_tokens);
    number("completion", record.completion_tokens);
    number("reasoning", record.reasoning_tokens);
    if (record.audio_ms > 0) number("audio_ms", record.audio_ms);
    if (record.images > 0) number("images", record.images);
    number("ttft_ms", record.ttft_ms);
    number("duration_ms", record.duration_ms);
    return line += "}\n";
}

std::optional<UsageRecord> from_journal_line(std::string_view line) {
    JsonArena<2048> arena;
    const Result<json::value> parsed = parse_json(line, arena.memory());
    if (!parsed || !parsed->is_object()) return std::nullopt;
    const json::object& fields = parsed->get_object();
    UsageRecord record;
    record.request_id = text_at(fields, "id");
    if (record.request_id.empty()) return std::nullopt;
    record.at = from_unix_ms(number_at(fields, "at"));
    record.user_id = UserId(text_at(fields, "user"));
    record.key_id = ApiKeyId(text_at(fields, "key"));
    record.model = text_at(fields, "model");
    record.instance_id = InstanceId(text_at(fields, "instance"));
    record.operation = text_at(fields, "operation");
    record.status = static_cast<int>(count_at(fields, "status") % 1000);
    record.aborted = flag_at(fields, "aborted");
    record.estimated = flag_at(fields, "estimated");
    record.prompt_tokens = count_at(fields, "prompt");
    record.cached_tokens = count_at(fields, "cached");
    record.completion_tokens = count_at(fields, "completion");
    record.reasoning_tokens = count_at(fields, "reasoning");
    record.audio_ms = count_at(fields, "audio_ms");
    record.images = count_at(fields, "images");
    record.ttft_ms = count_at(fields, "ttft_ms");
    record.duration_ms = count_at(fields, "duration_ms");
    return record;
}

}  // namespace gantry::gateway
