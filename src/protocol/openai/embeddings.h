#pragma once
// POST /v1/embeddings: the request and its answer. Threads: any.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "protocol/openai/prompts.h"

namespace gantry::protocol::openai {

inline constexpr size_t kEmbeddingInputsMax = 2048;

struct EmbeddingsRequest {
    std::string model;
    std::vector<Prompt> inputs;  // 1..kEmbeddingInputsMax, none empty
    bool base64 = false;         // the vectors as little-endian 32-bit floats in base64
    uint32_t dimensions = 0;     // 0: as many as the model has
};

Result<EmbeddingsRequest> parse_embeddings(const json::value& body);

// The whole answer. Written by hand: a value of JSON for every number would take several times the
// memory, and double's digits for numbers that are floats.
std::string embeddings_json(const std::string& model, std::span<const std::vector<float>> vectors,
                            bool base64, uint64_t prompt_tokens);

}  // namespace gantry::protocol::openai
