#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/json_arena.h"
#include "gateway/meter.h"

namespace gantry::gateway {
namespace {

constexpr size_t kUsualBytes = 480;

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
    const auto text = [&line](std::string_view name, std::string_view value) {
        append_json(line.append(name), value);
    };
    const auto number = [&line](std::string_view name, int64_t value) {
        const fmt::format_int digits(value);
        line.append(name).append(digits.data(), digits.size());
    };
    const auto flag = [&line](std::string_view name, bool value) { line.append(name).append(value ? "true" : "false"); };
    text(R"({"id":)", record.request_id);
    number(R"(,"at":)", to_unix_ms(record.at));
    text(R"(,"user":)", record.user_id.text);
    text(R"(,"key":)", record.key_id.text);
    text(R"(,"model":)", record.model);
    text(R"(,"instance":)", record.instance_id.text);
    text(R"(,"operation":)", record.operation);
    number(R"(,"status":)", record.status);
    flag(R"(,"aborted":)", record.aborted);
    flag(R"(,"estimated":)", record.estimated);
    number(R"(,"prompt":)", record.prompt_tokens);
    number(R"(,"cached":)", record.cached_tokens);
    number(R"(,"completion":)", record.completion_tokens);
    number(R"(,"reasoning":)", record.reasoning_tokens);
    if (record.audio_ms > 0) number(R"(,"audio_ms":)", record.audio_ms);
    if (record.images > 0) number(R"(,"images":)", record.images);
    number(R"(,"ttft_ms":)", record.ttft_ms);
    number(R"(,"duration_ms":)", record.duration_ms);
    line += "}\n";
    return line;
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
