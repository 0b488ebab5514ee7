#include "engine/fake_embedding_runner.h"

#include "base/assert.h"

namespace gantry::engine {

Result<ForwardOutcome> FakeEmbeddingRunner::forward(std::span<const EmbeddingInput> inputs) {
    abort_flag_ = false;
    const EmbeddingCapacity& capacity = options_.capacity;
    GANTRY_ASSERT(!inputs.empty() && inputs.size() <= capacity.batch_inputs, "a forward of 1 to batch_inputs inputs");
    size_t rows = 0;
    for (const EmbeddingInput& input : inputs) {
        GANTRY_ASSERT(!input.empty() && input.size() <= capacity.input_tokens, "inputs of 1 to input_tokens tokens");
        rows += input.size();
    }
    GANTRY_ASSERT(rows <= capacity.batch_rows, "a forward of at most batch_rows tokens");
    if (options_.on_forward) {
        if (std::optional<Result<ForwardOutcome>> outcome = options_.on_forward(inputs)) {
            return *std::move(outcome);
        }
    }
    vectors_.clear();
    for (const EmbeddingInput& input : inputs) {
        vectors_.push_back(vector_of(input, capacity.dimensions));
    }
    return ForwardOutcome::kDone;
}

std::vector<float> FakeEmbeddingRunner::vector_of(EmbeddingInput input, uint32_t dimensions) {
    uint64_t state = 0x9e3779b97f4a7c15;
    std::vector<float> vector;
    for (const TokenId token : input) {
        state = (state ^ static_cast<uint64_t>(token + 1)) * 0xff51afd7ed558ccd;
        state ^= state >> 29;
    }
    for (uint32_t d = 0; d < dimensions; ++d) {
        state = (state + d) * 0xc4ceb9fe1a85ec53;
        state ^= state >> 31;
        vector.push_back(static_cast<float>(state % 2001) / 1000.0F - 1.0F);
    }
    return vector;
}

}  // namespace gantry::engine
