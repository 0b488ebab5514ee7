#include "gateway/request_log.h"

#include <algorithm>

#include "base/json.h"
#include "gateway/trace_context.h"
#include "protocol/openai/utf8.h"

namespace gantry::gateway {
namespace {

constexpr size_t kValueBytesMax = 128;   // of a model's name that a client made up
constexpr size_t kUsualBytes = 256;

// In quotes where it could be taken for more than one field.
void add(std::string& out, std::string_view key, std::string_view value) {
    if (value.empty()) return;
    const bool plain = value.size() <= kValueBytesMax && std::all_of(value.begin(), value.end(), [](char c) {
        return c > ' ' && c != '"' && c != '=' && c != '\\' && c != 0x7f && static_cast<unsigned char>(c) < 0x80;
    });
    if (!out.empty()) out += ' ';
    out.append(key).append("=");
    if (plain) {
        out.append(value);
    } else {
        out.append(json::serialize(json::value(protocol::openai::beginning(value, kValueBytesMax))));
    }
}

}  // namespace

std::string log_fields(const Principal& who, const UsageRecord& record, std::string_view traceparent, std::string_view error) {
    std::string out;
    out.reserve(kUsualBytes);
    add(out, "trace", trace_id(traceparent));
    add(out, "user", who.user_name);
    add(out, "key", who.key_id.text);
    add(out, "model", record.model);
    add(out, "instance", record.instance_id.text);
    add(out, "op", record.operation);
    if (record.prompt_tokens + record.completion_tokens > 0) {
        out.append(" tokens=").append(std::to_string(record.prompt_tokens)).append("+").append(std::to_string(record.completion_tokens));
    }
    if (record.cached_tokens > 0) out.append(" cached=").append(std::to_string(record.cached_tokens));
    if (record.ttft_ms > 0) out.append(" ttft=").append(std::to_string(record.ttft_ms)).append("ms");
    add(out, "error", error);
    return out;
}

}  // namespace gantry::gateway
