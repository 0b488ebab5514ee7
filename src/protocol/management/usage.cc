// Usage: records and summaries, as JSON and as CSV.
#include "protocol/management/csv.h"
#include "protocol/management/objects.h"

namespace gantry::protocol::management {
namespace {

json::value text_or_null(const std::string& text, bool there) { return there ? json::value(text) : json::value(nullptr); }

}  // namespace

json::object to_json(const UsageRecord& r, const UsageNames& names) {
    return {{"request_id", r.request_id},
            {"at", to_rfc3339(r.at)},
            {"user_id", r.user_id.text},
            {"user_name", names.user},
            {"key_id", r.key_id.text},
            {"key_name", names.key},
            {"model", r.model},
            {"instance_id", r.instance_id.text},
            {"operation", r.operation},
            {"status", r.status},
            {"aborted", r.aborted},
            {"estimated", r.estimated},
            {"prompt_tokens", r.prompt_tokens},
            {"cached_tokens", r.cached_tokens},
            {"completion_tokens", r.completion_tokens},
            {"reasoning_tokens", r.reasoning_tokens},
            {"audio_ms", r.audio_ms},
            {"images", r.images},
            {"ttft_ms", r.ttft_ms},
            {"duration_ms", r.duration_ms}};
}

json::object to_json(const UsageSummary& s, const UsageGroups& by, const UsageNames& names) {
    const UsageTotals& t = s.totals;
    return {{"bucket", s.bucket ? json::value(to_rfc3339(*s.bucket)) : json::value(nullptr)},
            {"user_id", text_or_null(s.user_id.text, by.user)},
            {"user_name", text_or_null(names.user, by.user)},
            {"key_id", text_or_null(s.key_id.text, by.key)},
            {"key_name", text_or_null(names.key, by.key)},
            {"model", text_or_null(s.model, by.model)},
            {"instance_id", text_or_null(s.instance_id.text, by.instance)},
            {"operation", text_or_null(s.operation, by.operation)},
            {"requests", t.requests},
            {"failed", t.failed},
            {"aborted", t.aborted},
            {"estimated", t.estimated},
            {"prompt_tokens", t.prompt_tokens},
            {"cached_tokens", t.cached_tokens},
            {"completion_tokens", t.completion_tokens},
            {"reasoning_tokens", t.reasoning_tokens},
            {"audio_ms", t.audio_ms},
            {"images", t.images},
            {"ttft_ms_sum", t.ttft_ms_sum},
            {"ttft_count", t.ttft_count},
            {"duration_ms_sum", t.duration_ms_sum}};
}

void usage_csv_header(std::string& out) {
    csv_header(out, {"request_id", "at", "user_id", "user_name", "key_id", "key_name", "model", "instance_id", "operation", "status",
                     "aborted", "estimated", "prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens", "audio_ms",
                     "images", "ttft_ms", "duration_ms"});
}

void add_csv(std::string& out, const UsageRecord& r, const UsageNames& names) {
    CsvRow row(out);
    row.add(r.request_id).add(to_rfc3339(r.at)).add(r.user_id.text).add(names.user).add(r.key_id.text).add(names.key).add(r.model);
    row.add(r.instance_id.text).add(r.operation).add(int64_t{r.status}).add(r.aborted).add(r.estimated);
    for (const uint32_t number : {r.prompt_tokens, r.cached_tokens, r.completion_tokens, r.reasoning_tokens, r.audio_ms, r.images, r.ttft_ms,
                                  r.duration_ms}) {
        row.add(int64_t{number});
    }
    row.end();
}

void usage_summary_csv_header(std::string& out) {
    csv_header(out, {"bucket", "user_id", "user_name", "key_id", "key_name", "model", "instance_id", "operation", "requests", "failed",
                     "aborted", "estimated", "prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens", "audio_ms", "images",
                     "ttft_ms_sum", "ttft_count", "duration_ms_sum"});
}

void add_csv(std::string& out, const UsageSummary& s, const UsageNames& names) {
    const UsageTotals& t = s.totals;
    CsvRow row(out);
    row.add(s.bucket ? to_rfc3339(*s.bucket) : std::string()).add(s.user_id.text).add(names.user).add(s.key_id.text).add(names.key);
    row.add(s.model).add(s.instance_id.text).add(s.operation);
    for (const int64_t number : {t.requests, t.failed, t.aborted, t.estimated, t.prompt_tokens, t.cached_tokens, t.completion_tokens,
                                 t.reasoning_tokens, t.audio_ms, t.images, t.ttft_ms_sum, t.ttft_count, t.duration_ms_sum}) {
        row.add(number);
    }
    row.end();
}

}  // namespace gantry::protocol::management
