#pragma once
// What chat and legacy completions have in common: how to generate. Ranges are enforced while
// parsing (fields.cc); a value out of range, or of the wrong type, is kInvalidArgument with the
// field's JSON path in Error::param. JSON null counts as absent. Fields that nobody knows are
// ignored, because SDKs send such (store, metadata, service_tier, ...).

#include <cstdint>
#include <optional>
#include <string>
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
};

}  // namespace gantry::protocol::openai
