#pragma once
// POST /v1/completions, the legacy one: the request. Threads: any.

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "protocol/openai/generation.h"
#include "protocol/openai/prompts.h"
#include "protocol/openai/response_format.h"

namespace gantry::protocol::openai {

inline constexpr size_t kPromptsMax = 16;
inline constexpr uint32_t kCompletionMaxTokensDefault = 16;

struct CompletionRequest {
    std::string model;
    std::vector<Prompt> prompts;  // 1..kPromptsMax; choice index = prompt index * n + choice
    bool echo = false;            // the prompt's text stands before the answer's
    ResponseFormat response_format;
    Generation generation;        // logprobs: the legacy number lands in top_logprobs
};

// `suffix` is refused, `best_of` must equal `n`.
Result<CompletionRequest> parse_completion(const json::value& body);

}  // namespace gantry::protocol::openai
