#pragma once
// A row of logits as what may be chosen of it. The row stays where the runner left it and is seen in blocks; what penalties and
// bias change is sparse: those tokens are masked out of their blocks and stand, changed, in blocks of their own at the end. A
// constraint's mask leaves out whole blocks.
// Threads: as the Sampler's.

#include <span>
#include <vector>

#include "engine/engine.h"
#include "engine/sampler_simd.h"
#include "engine/token_counts.h"

namespace gantry::engine {

struct SampleInput {
    std::span<const float> logits;
    const SamplingParams& params;
    const TokenCounts& counts;              // may be empty when no penalty is set
    uint32_t index = 0;                     // tokens generated before this one
    std::span<const TokenId> end_tokens;    // the model's end-of-generation tokens
    // As TokenConstraint::allowed(): tokens past its end are not allowed; empty: everything is. Beside it ignore_eos and
    // min_tokens mask nothing.
    std::span<const uint32_t> allowed{};
};

bool needs_counts(const SamplingParams& params);

class SamplerRow {
public:
    // In order: logit_bias, penalties, masks. The input's logits must outlive the blocks.
    void arrange(const SampleInput& input);
    // The row as the model made it.
    void arrange_raw(std::span<const float> logits);

    bool is_raw() const { return mask_.empty(); }
    std::span<LogitBlock> blocks() { return blocks_; }
    std::span<const LogitBlock> blocks() const { return blocks_; }

private:
    void start_mask(const SampleInput& input);
    void collect_changes(const SampleInput& input);
    void add_penalties(const SampleInput& input);
    bool take(TokenId token);
    float* changed(TokenId token);
    void remove(std::span<const TokenId> tokens);
    void add_blocks(std::span<const float> logits);
    void add_changed_blocks();

    size_t size_ = 0;                        // of the row
    std::vector<LogitBlock> blocks_;
    std::vector<uint32_t> mask_;             // a bit a token, whole blocks; empty: nothing is masked or changed
    std::vector<TokenId> changed_tokens_;
    std::vector<float> changed_values_;
    std::vector<float> tail_;                // the row's last block, filled up
};

}  // namespace gantry::engine
