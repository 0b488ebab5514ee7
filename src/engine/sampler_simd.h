#pragma once
// The sampler's passes over the vocabulary, each in a scalar, an AVX2 and an AVX-512 version. All versions give the same bits:
// weights are summed in 16 lanes that are folded in one order, and every product that is added to something is one fused
// multiply-add. So the machine decides how fast a token is drawn, never which.
// Threads: any; nothing is kept.

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "engine/model_runner.h"

namespace gantry::engine {

// Some logits of a row. REQUIRES: `size` is a multiple of 16, filled up with -Inf, and at most kBlockMax.
struct LogitBlock {
    const float* values = nullptr;
    const uint32_t* mask = nullptr;      // a bit a logit, 0: counts as -Inf; null: all of them are there
    const TokenId* tokens = nullptr;     // null: `first`, and those that follow it
    TokenId first = 0;
    uint32_t size = 0;
    float max = -std::numeric_limits<float>::infinity();   // what find_peaks() found

    bool has(uint32_t i) const { return mask == nullptr || (mask[i / 32] >> (i % 32) & 1u) != 0; }
    TokenId token(uint32_t i) const { return tokens ? tokens[i] : first + static_cast<TokenId>(i); }
};
inline constexpr uint32_t kBlockMax = 512;   // a float sum of so many goes into a double; a block far from the top is skipped whole

// from <= logit < below. -Inf lies in no band.
struct LogitBand {
    float from = std::numeric_limits<float>::lowest();
    float below = std::numeric_limits<float>::infinity();
};

// The weight of a logit x: 2^((x - peak) * scale), within 5e-7 of it; 0 below 2^-126. REQUIRES: x <= peak.
struct WeightScale {
    float peak = 0;
    float scale = 1;   // log2(e) / temperature
};
float weight_of(float logit, const WeightScale& scale);

struct Weighed {
    uint64_t count = 0;
    double mass = 0;
};

struct Candidate {
    float logit = 0;
    TokenId token = -1;
};

struct SamplerKernels {
    const char* name;
    // Fills in each block's max. False: a NaN stands somewhere among them.
    bool (*find_peaks)(std::span<LogitBlock> blocks);
    // How many logits lie in the band, and their weights' sum; `masses` gets each block's when it isn't null.
    Weighed (*weigh)(std::span<const LogitBlock> blocks, const LogitBand& band, const WeightScale& scale, double* masses);
    // Writes the block's candidates in the band in their order and returns how many. `out` has room for kBlockMax.
    uint32_t (*gather)(const LogitBlock& block, const LogitBand& band, Candidate* out);
    // Writes the weight of each of the block's logits, 0 outside the band. `out` has room for kBlockMax.
    void (*weights)(const LogitBlock& block, const LogitBand& band, const WeightScale& scale, float* out);
};

extern const SamplerKernels kScalarKernels;               // the reference
const SamplerKernels& best_kernels();                     // of those that this CPU runs
std::vector<const SamplerKernels*> runnable_kernels();    // all of them, for tests

namespace detail {
// Null where this build has none. What they need of the CPU must have been asked before.
extern const SamplerKernels* const kAvx2Kernels;
extern const SamplerKernels* const kAvx512Kernels;

inline constexpr uint32_t kLanes = 16;
inline constexpr float kSmallestPower = -126.0f;
// 2^f = 1 + f * (kPower[0] + f * (kPower[1] + ...)) for |f| <= 1/2: the polynomial of least relative error, by Remez' exchange.
inline constexpr float kPower[5] = {0.693142831f, 0.240223512f, 0.0555740036f, 0.00966628268f, 0.00111254945f};
}  // namespace detail

}  // namespace gantry::engine
