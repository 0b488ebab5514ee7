#pragma once
// One usage record a request, finished or not; and what many of them add up to.

#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/ids.h"

namespace gantry {

struct UsageRecord {
    std::string request_id;
    WallTime at{};
    UserId user_id;
    ApiKeyId key_id;
    std::string model;              // the public name
    InstanceId instance_id;
    std::string operation;          // gateway.cc's table of operations names them: "chat", "response", ...
    int status = 0;                 // HTTP status sent
    bool aborted = false;           // the client left before the end
    bool estimated = false;         // the engine gave no usage
    uint32_t prompt_tokens = 0;
    uint32_t cached_tokens = 0;
    uint32_t completion_tokens = 0;
    uint32_t reasoning_tokens = 0;
    uint32_t audio_ms = 0;          // of recordings that were heard
    uint32_t images = 0;            // that were made
    uint32_t ttft_ms = 0;
    uint32_t duration_ms = 0;
};

// What one key, or a user without one (at the console), used over some time: tokens of prompts and answers.
struct TokensUsed {
    UserId user_id;
    ApiKeyId key_id;
    uint64_t tokens = 0;
};

struct UsageTotals {
    int64_t requests = 0;
    int64_t failed = 0;             // answered with a status of 400 and above; the aborted ones are not among them
    int64_t aborted = 0;
    int64_t estimated = 0;
    int64_t prompt_tokens = 0;
    int64_t cached_tokens = 0;
    int64_t completion_tokens = 0;
    int64_t reasoning_tokens = 0;
    int64_t audio_ms = 0;
    int64_t images = 0;
    int64_t ttft_ms_sum = 0;        // over the ttft_count requests that had a first token
    int64_t ttft_count = 0;
    int64_t duration_ms_sum = 0;

    void add(const UsageRecord& record) {
        ++requests;
        failed += record.status >= 400 && !record.aborted ? 1 : 0;
        aborted += record.aborted ? 1 : 0;
        estimated += record.estimated ? 1 : 0;
        prompt_tokens += record.prompt_tokens;
        cached_tokens += record.cached_tokens;
        completion_tokens += record.completion_tokens;
        reasoning_tokens += record.reasoning_tokens;
        audio_ms += record.audio_ms;
        images += record.images;
        ttft_ms_sum += record.ttft_ms;
        ttft_count += record.ttft_ms > 0 ? 1 : 0;
        duration_ms_sum += record.duration_ms;
    }
    bool operator==(const UsageTotals&) const = default;
};

// What a summary has lines of.
struct UsageGroups {
    bool user = false, key = false, model = false, instance = false, operation = false;
};

// One line of a summary: the totals of a group in a bucket. What the summary was not grouped by is empty.
struct UsageSummary {
    std::optional<WallTime> bucket;   // where its hour or day (UTC) begins; nullopt: all of the time asked for
    UserId user_id;
    ApiKeyId key_id;
    std::string model;
    InstanceId instance_id;
    std::string operation;
    UsageTotals totals;
};

}  // namespace gantry
