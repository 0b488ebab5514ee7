#include <limits>

#include "base/json.h"
#include "gateway/meter.h"

namespace gantry::gateway {
namespace {

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
    json::object line;
    line.reserve(16);
    line["id"] = record.request_id;
    line["at"] = to_unix_ms(record.at);
    line["user"] = record.user_id.text;
    line["key"] = record.key_id.text;
    line["model"] = record.model;
    line["instance"] = record.instance_id.text;
    line["operation"] = record.operation;
    line["status"] = record.status;
    line["aborted"] = record.aborted;
    line["estimated"] = record.estimated;
    line["prompt"] = record.prompt_tokens;
    line["cached"] = record.cached_tokens;
    line["completion"] = record.completion_tokens;
    line["reasoning"] = record.reasoning_tokens;
    line["ttft_ms"] = record.ttft_ms;
    line["duration_ms"] = record.duration_ms;
    std::string text = json::serialize(line);
    text += '\n';
    return text;
}

std::optional<UsageRecord> from_journal_line(std::string_view line) {
    const Result<json::value> parsed = parse_json(line);
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
    record.ttft_ms = count_at(fields, "ttft_ms");
    record.duration_ms = count_at(fields, "duration_ms");
    return record;
}

}  // namespace gantry::gateway
