#pragma once
// The sampler: one token from one row of logits.
//
// It reads the row where the runner left it and makes no array of the vocabulary. What penalties, bias and masks change is
// sparse: the row is seen as runs of untouched logits with the changed ones between them, and every pass is a loop over runs.
// Top-k, top-p and min-p are each a cut in the order (logit descending, token ascending), found by counting or weighing what
// lies above a threshold; only what lies between the last two thresholds is gathered and sorted.
//
// Order, as vLLM has it: logit_bias and masks, penalties, temperature, min_p, top_k, top_p (over what is left, renormalised).
// Log-probabilities are of the model's own distribution: before bias, penalties and temperature.
// Threads: a Sampler has scratch space, so one a thread.

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"

namespace gantry::engine {

// The random number of token `index` of a sequence: in [0, 1), a function of both arguments and nothing else (splitmix64).
double uniform_number(uint64_t seed, uint64_t index);

// Tokens seen so far; the count is of the generated ones, 0: only in the prompt.
using TokenCounts = std::map<TokenId, uint32_t>;

struct SampleInput {
    std::span<const float> logits;
    const SamplingParams& params;
    const TokenCounts& counts;            // may be empty when no penalty is set
    uint32_t index = 0;                   // tokens generated before this one
    std::span<const TokenId> end_tokens;  // the model's end-of-generation tokens
};

struct SampledToken {
    TokenId token = -1;
    std::optional<TokenLogprob> logprob;
    std::vector<TokenLogprob> top_logprobs;   // descending
};

bool needs_counts(const SamplingParams& params);

class Sampler {
public:
    // kInternal when the row holds NaN or +Inf or nothing can be drawn: that row's sequence has to end. -Inf is "impossible".
    Result<SampledToken> sample(const SampleInput& input);
    // The tokens that sample() may return for this row, ascending. For tests.
    std::vector<TokenId> support(const SampleInput& input);

private:
    struct Run {
        TokenId first = 0;
        const float* values = nullptr;
        uint32_t size = 0;
    };
    // Keeps a token when it lies above, or at the value with an id not past last_tie.
    struct Cut {
        float value = -std::numeric_limits<float>::infinity();
        TokenId last_tie = -1;
        bool keeps(TokenId token, float logit) const {
            return logit > value || (logit == value && token <= last_tie);
        }
    };
    struct Weighed {
        uint64_t count = 0;
        double mass = 0;
    };
    struct Need {
        uint64_t count = 0;
        double mass = 0;
        bool met(const Weighed& weighed) const { return weighed.count >= count && weighed.mass >= mass; }
    };

    Status prepare(const SampleInput& input);
    void collect_changes(const SampleInput& input);
    void make_runs(std::span<const float> logits);
    Cut find_support(const SamplingParams& params) const;
    Cut narrow(const Need& need, const Cut& within, float scale) const;
    Weighed weigh(float from, const Cut& within) const;
    TokenId first_at_max() const;
    TokenId draw(const Cut& cut, double uniform);
    void add_logprobs(const SampleInput& input, SampledToken& sampled) const;

    std::vector<std::pair<TokenId, float>> changes_;   // sorted by token, unique: the changed logits
    std::vector<Run> runs_;
    std::vector<double> run_mass_;
    float max_ = 0;          // of the changed row
    float raw_max_ = 0;      // of the model's row
    float inverse_temperature_ = 1;
};

}  // namespace gantry::engine
