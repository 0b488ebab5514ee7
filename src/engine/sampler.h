#pragma once
// The sampler: one token from one row of logits.
//
// It reads the row in blocks (sampler_row.h) and makes no array of the vocabulary. The first pass finds each block's highest
// logit, so that later ones skip what lies too low.
// Top-k, top-p and min-p are each a cut in the order (logit descending, token ascending): a short top-k is picked from the few
// blocks that reach high enough; else the cut is found by counting and weighing what lies above a threshold, and only what
// lies between the last two thresholds is gathered.
//
// Order, as vLLM has it: logit_bias and masks, penalties, temperature, min_p, top_k, top_p (over what is left, renormalised).
// Log-probabilities are of the model's own distribution: before bias, penalties, masks and temperature.
// Threads: a Sampler has scratch space, so one a thread.

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "engine/sampler_row.h"
#include "engine/sampler_simd.h"

namespace gantry::engine {

// The random number of token `index` of a sequence: in [0, 1), a function of both arguments and nothing else (splitmix64).
double uniform_number(uint64_t seed, uint64_t index);

struct SampledToken {
    TokenId token = -1;
    std::optional<TokenLogprob> logprob;
    std::vector<TokenLogprob> top_logprobs;   // descending
};

class Sampler {
public:
    explicit Sampler(const SamplerKernels& kernels = best_kernels()) : kernels_(kernels) {}

    // kInternal when what may be chosen holds NaN or +Inf, or when nothing may be chosen: that row's sequence has to end.
    // -Inf is "impossible".
    Result<SampledToken> sample(const SampleInput& input);
    // The tokens that sample() may return for this row, ascending. For tests.
    std::vector<TokenId> support(const SampleInput& input);

private:
    // Keeps a token when it lies above, or at the value with an id not past last_tie.
    struct Cut {
        float value = -std::numeric_limits<float>::infinity();
        TokenId last_tie = std::numeric_limits<TokenId>::min();
        uint64_t ties = 0;   // how many are kept at the value
        bool keeps(TokenId token, float logit) const {
            return logit > value || (logit == value && token <= last_tie);
        }
    };
    struct Need {
        uint64_t count = 0;
        double mass = 0;
        bool met(const Weighed& weighed) const { return weighed.count >= count && weighed.mass >= mass; }
    };

    Status prepare(const SampleInput& input);

    Cut find_support(const SamplingParams& params);
    void pick_top(size_t most, float from);
    Cut cut_list(const Need& need, Weighed sum);
    Cut narrow(const Need& need, const Cut& within, float scale);
    Cut cut_ties(const Need& need, const Weighed& sum_above, uint64_t tied, float value);
    Weighed weigh(const LogitBand& band, const Cut& within) const;
    void gather(const LogitBand& band, const Cut& within);
    TokenId nth_tie(float value, uint64_t n) const;

    TokenId first_at_max() const;
    TokenId draw_listed(double uniform);
    TokenId draw(const Cut& cut, double uniform);
    Status add_logprobs(const SampleInput& input, SampledToken& sampled);

    const SamplerKernels& kernels_;
    SamplerRow row_;                           // what may be chosen
    std::vector<Candidate> candidates_;        // room; the first candidate_count_ are meant
    size_t candidate_count_ = 0;
    bool listed_ = false;                      // the candidates are all that the cut keeps
    std::vector<float> scratch_;
    std::vector<double> block_mass_;
    WeightScale scale_;                        // its peak is the highest logit that may be chosen
};

}  // namespace gantry::engine
