#include "engine/sampler_simd.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace gantry::engine {
namespace {

using detail::kLanes;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

float value_at(const LogitBlock& block, uint32_t i) { return block.has(i) ? block.values[i] : -kInfinity; }

bool lies_in(const LogitBand& band, float x) { return x >= band.from && x < band.below; }

bool find_peaks(std::span<LogitBlock> blocks) {
    bool sound = true;
    for (LogitBlock& block : blocks) {
        block.max = -kInfinity;
        for (uint32_t i = 0; i < block.size; ++i) {
            const float x = value_at(block, i);
            sound = sound && !std::isnan(x);
            block.max = x > block.max ? x : block.max;
        }
    }
    return sound;
}

// Halves are added onto each other, as vector registers do it.
double fold(float* lanes) {
    for (uint32_t half = kLanes / 2; half > 0; half /= 2) {
        for (uint32_t lane = 0; lane < half; ++lane) {
            lanes[lane] += lanes[lane + half];
        }
    }
    return lanes[0];
}

Weighed weigh(std::span<const LogitBlock> blocks, const LogitBand& band, const WeightScale& scale, double* masses) {
    Weighed all;
    for (size_t b = 0; b < blocks.size(); ++b) {
        const LogitBlock& block = blocks[b];
        float lanes[kLanes] = {};
        for (uint32_t i = 0; i < block.size && block.max >= band.from; ++i) {
            const float x = value_at(block, i);
            if (lies_in(band, x)) {
                all.count += 1;
                lanes[i % kLanes] += weight_of(x, scale);
            }
        }
        const double mass = fold(lanes);
        all.mass += mass;
        if (masses) {
            masses[b] = mass;
        }
    }
    return all;
}

uint32_t gather(const LogitBlock& block, const LogitBand& band, Candidate* out) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < block.size; ++i) {
        const float x = value_at(block, i);
        if (lies_in(band, x)) {
            out[count++] = Candidate{x, block.token(i)};
        }
    }
    return count;
}

void weights(const LogitBlock& block, const LogitBand& band, const WeightScale& scale, float* out) {
    for (uint32_t i = 0; i < block.size; ++i) {
        const float x = value_at(block, i);
        out[i] = lies_in(band, x) ? weight_of(x, scale) : 0.0f;
    }
}

}  // namespace

const SamplerKernels kScalarKernels{"scalar", find_peaks, weigh, gather, weights};

float weight_of(float logit, const WeightScale& scale) {
    const float power = (logit - scale.peak) * scale.scale;
    if (!(power >= detail::kSmallestPower)) {
        return 0.0f;
    }
    constexpr float kRoundToInt = 12582912.0f;   // 1.5 * 2^23: adding it leaves no fraction
    const float whole = (power + kRoundToInt) - kRoundToInt;
    const float part = power - whole;
    float p = detail::kPower[4];
    for (int i = 3; i >= 0; --i) {
        p = std::fma(p, part, detail::kPower[i]);
    }
    p = std::fma(p, part, 1.0f);
    return p * std::bit_cast<float>((static_cast<int32_t>(whole) + 127) << 23);
}

std::vector<const SamplerKernels*> runnable_kernels() {
    std::vector<const SamplerKernels*> kernels = {&kScalarKernels};
#if defined(__x86_64__)
    if (detail::kAvx2Kernels && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        kernels.push_back(detail::kAvx2Kernels);
    }
    if (detail::kAvx512Kernels && __builtin_cpu_supports("avx512f")) {
        kernels.push_back(detail::kAvx512Kernels);
    }
#endif
    return kernels;
}

const SamplerKernels& best_kernels() {
    static const SamplerKernels& best = *runnable_kernels().back();
    return best;
}

}  // namespace gantry::engine
