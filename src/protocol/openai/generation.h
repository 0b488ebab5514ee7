#pragma once
// What chat and legacy completions have in common: how to generate. Ranges are enforced while
// parsing (fields.cc); a value out of range, or of the wrong type, is kInvalidArgument with the
// field's JSON path in Error::param. JSON null counts as absent. Fields that nobody knows are
// ignored, because SDKs send such (store, metadata, ...).

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace gantry::protocol::openai {

inline constexpr uint32_t kChoicesMax = 8;    // n
inline constexpr size_t kStopsMax = 4;        // stop strings
inline constexpr size_t kStopBytesMax = 256;  // each
inline constexpr size_t kStopTokenIdsMax = 64;
inline constexpr size_t kLogitBiasMax = 1024;
inline constexpr uint32_t kTopLogprobsMax = 20;
inline constexpr uint32_t kCompletionLogprobsMax = 5;
inline constexpr uint32_t kMaxTokensMax = 2'147'483'647;
inline constexpr size_t kCacheSaltBytesMax = 256;
inline constexpr uint32_t kDeadlineMsMax = 86'400'000;  // a day

// How urgent a request is among others. `service_tier` "auto" and "scale" (bought capacity, which
// there is none of here) are served as "default".
enum class ServiceTier { kDefault, kFlex, kPriority };
std::string_view name_of(ServiceTier tier);  // "default", "flex", "priority"

struct Generation {
    double temperature = 1.0;         // 0..2; 0: greedy
    double top_p = 1.0;               // 0..1
    double min_p = 0.0;               // 0..1
    int32_t top_k = 0;                // 0 (or -1): off
    double presence_penalty = 0.0;    // -2..2
    double frequency_penalty = 0.0;   // -2..2
    double repetition_penalty = 1.0;  // over 0, up to 10
    uint32_t n = 1;                   // 1..kChoicesMax
    // 0: to the end of the context. More than the context has left is no error: the answer ends
    // there with "length".
    uint32_t max_tokens = 0;
    uint32_t min_tokens = 0;
    std::vector<std::string> stop;  // at most kStopsMax, each 1..kStopBytesMax bytes
    std::vector<int32_t> stop_token_ids;
    std::optional<uint64_t> seed;  // any 64-bit integer; negative ones keep their bits
    std::vector<std::pair<int32_t, double>> logit_bias;  // token id, -100..100
    bool logprobs = false;
    uint32_t top_logprobs = 0;  // 0..kTopLogprobsMax
    bool ignore_eos = false;
    bool stream = false;
    bool include_usage = false;  // stream_options.include_usage
    // From `service_tier`, or from vLLM's `priority` (lower is earlier: under 0 kPriority, over 0
    // kFlex), which beats it.
    ServiceTier service_tier = ServiceTier::kDefault;
    bool names_tier = false;  // `service_tier` is there: the answer tells which one served it
    // Only requests with the same one share cached prefixes. 1..kCacheSaltBytesMax bytes; empty:
    // none was given, the cache is shared with all who give none.
    std::string cache_salt;
    // From the request's arrival to the end of its answer, 1..kDeadlineMsMax; past it nothing more
    // is computed, and the request ends with 504 `deadline_exceeded`, in a stream with that error
    // as its last event. 0: none.
    uint32_t deadline_ms = 0;
};

}  // namespace gantry::protocol::openai
