#pragma once
// From a request's texts to vectors and from them to its answer: what embeddings and rerank share.
// Io thread, except where a function says otherwise.

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine_server/services.h"
#include "http/http.h"

namespace gantry::engine_server {

// What an endpoint made of a request: inputs to compute, and how their vectors become the answer's
// body. `finish` runs on the pool.
struct VectorPlan {
    std::vector<std::vector<engine::TokenId>> inputs;
    std::function<Result<std::string>(engine::Vectors)> finish;
};

// Refuses while the model loads and when it makes no embeddings; runs `plan` on the pool; computes;
// answers the exchange in any case, unless the client is gone. The client's leaving cancels.
http::Task<void> plan_and_embed(http::Exchange& exchange, Services& services,
                                Result<VectorPlan> (*plan)(const std::string& body,
                                                           Services& services));

// Threads of the following: any.

// A text without anything around it. One that is too long in any case is refused before the work
// of tokenizing it; `param` names the field.
Result<std::vector<engine::TokenId>> text_tokens(const LoadedModel& model, const std::string& text,
                                                 const std::string& param);
// A text in the model's frame. kInvalidArgument with both numbers when that is too long.
Result<std::vector<engine::TokenId>> framed_text(const LoadedModel& model, const std::string& text,
                                                 const std::string& param);
uint64_t token_count(const std::vector<std::vector<engine::TokenId>>& inputs);

// To length 1, in place; a vector of zeros stays one. kInternal when a number is none, which is
// what a damaged model gives.
Status normalise(std::span<float> vector);

}  // namespace gantry::engine_server
