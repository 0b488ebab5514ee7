// 8 logits at a time, two of them side by side: lanes 0 to 7 and 8 to 15.
#include "engine/sampler_simd.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <bit>

#define GANTRY_AVX2 __attribute__((target("avx2,fma")))

namespace gantry::engine {
namespace {

constexpr uint32_t kWidth = 8;

GANTRY_AVX2 inline __m256 load(const LogitBlock& block, uint32_t i) {
    const __m256 x = _mm256_loadu_ps(block.values + i);
    if (!block.mask) {
        return x;
    }
    const __m256i bit_of_lane = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    const __m256i bits = _mm256_set1_epi32(static_cast<int32_t>(block.mask[i / 32] >> (i % 32)));
    const __m256i there = _mm256_cmpeq_epi32(_mm256_and_si256(bits, bit_of_lane), bit_of_lane);
    return _mm256_blendv_ps(_mm256_set1_ps(-std::numeric_limits<float>::infinity()), x, _mm256_castsi256_ps(there));
}

struct Band {
    __m256 from;
    __m256 below;
};

GANTRY_AVX2 inline Band broadcast(const LogitBand& band) { return Band{_mm256_set1_ps(band.from), _mm256_set1_ps(band.below)}; }

GANTRY_AVX2 inline __m256 lies_in(const Band& band, __m256 x) {
    return _mm256_and_ps(_mm256_cmp_ps(x, band.from, _CMP_GE_OQ), _mm256_cmp_ps(x, band.below, _CMP_LT_OQ));
}

// As weight_of(), step by step; 0 where `keep` has no bits.
GANTRY_AVX2 inline __m256 weight(__m256 x, __m256 keep, __m256 peak, __m256 scale) {
    const __m256 power = _mm256_mul_ps(_mm256_sub_ps(x, peak), scale);
    const __m256 counts = _mm256_and_ps(keep, _mm256_cmp_ps(power, _mm256_set1_ps(detail::kSmallestPower), _CMP_GE_OQ));
    const __m256 whole = _mm256_round_ps(power, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const __m256 part = _mm256_sub_ps(power, whole);
    __m256 p = _mm256_set1_ps(detail::kPower[4]);
    for (int i = 3; i >= 0; --i) {
        p = _mm256_fmadd_ps(p, part, _mm256_set1_ps(detail::kPower[i]));
    }
    p = _mm256_fmadd_ps(p, part, _mm256_set1_ps(1.0f));
    const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(whole), _mm256_set1_epi32(127));
    const __m256 w = _mm256_mul_ps(p, _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23)));
    return _mm256_and_ps(w, counts);
}

GANTRY_AVX2 inline float largest(__m256 x) {
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    four = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}

GANTRY_AVX2 inline float fold(__m256 low, __m256 high) {
    const __m256 eight = _mm256_add_ps(low, high);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    four = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}

GANTRY_AVX2 bool find_peaks(std::span<LogitBlock> blocks) {
    const __m256 lowest = _mm256_set1_ps(-std::numeric_limits<float>::infinity());
    __m256 unordered = _mm256_setzero_ps();
    for (LogitBlock& block : blocks) {
        __m256 low = lowest;
        __m256 high = lowest;
        for (uint32_t i = 0; i < block.size; i += 2 * kWidth) {
            const __m256 a = load(block, i);
            const __m256 b = load(block, i + kWidth);
            unordered = _mm256_or_ps(unordered, _mm256_cmp_ps(a, b, _CMP_UNORD_Q));
            low = _mm256_max_ps(a, low);
            high = _mm256_max_ps(b, high);
        }
        block.max = largest(_mm256_max_ps(low, high));
    }
    return _mm256_movemask_ps(unordered) == 0;
}

GANTRY_AVX2 Weighed weigh(std::span<const LogitBlock> blocks, const LogitBand& band, const WeightScale& scale, double* masses) {
    const Band wide = broadcast(band);
    const __m256 peak = _mm256_set1_ps(scale.peak);
    const __m256 factor = _mm256_set1_ps(scale.scale);
    Weighed all;
    for (size_t b = 0; b < blocks.size(); ++b) {
        const LogitBlock& block = blocks[b];
        double mass = 0;
        if (block.max >= band.from) {
            __m256 low = _mm256_setzero_ps();
            __m256 high = _mm256_setzero_ps();
            for (uint32_t i = 0; i < block.size; i += 2 * kWidth) {
                const __m256 x = load(block, i);
                const __m256 y = load(block, i + kWidth);
                const __m256 keep_x = lies_in(wide, x);
                const __m256 keep_y = lies_in(wide, y);
                const auto bits = static_cast<uint32_t>(_mm256_movemask_ps(keep_x) | _mm256_movemask_ps(keep_y) << 8);
                if (bits != 0) {
                    all.count += static_cast<uint64_t>(std::popcount(bits));
                    low = _mm256_add_ps(low, weight(x, keep_x, peak, factor));
                    high = _mm256_add_ps(high, weight(y, keep_y, peak, factor));
                }
            }
            mass = fold(low, high);
        }
        all.mass += mass;
        if (masses) {
            masses[b] = mass;
        }
    }
    return all;
}

GANTRY_AVX2 uint32_t gather(const LogitBlock& block, const LogitBand& band, Candidate* out) {
    const Band wide = broadcast(band);
    uint32_t count = 0;
    for (uint32_t i = 0; i < block.size; i += kWidth) {
        auto bits = static_cast<uint32_t>(_mm256_movemask_ps(lies_in(wide, load(block, i))));
        for (; bits != 0; bits &= bits - 1) {
            const uint32_t at = i + static_cast<uint32_t>(std::countr_zero(bits));
            out[count++] = Candidate{block.values[at], block.token(at)};
        }
    }
    return count;
}

GANTRY_AVX2 void weights(const LogitBlock& block, const LogitBand& band, const WeightScale& scale, float* out) {
    const Band wide = broadcast(band);
    const __m256 peak = _mm256_set1_ps(scale.peak);
    const __m256 factor = _mm256_set1_ps(scale.scale);
    for (uint32_t i = 0; i < block.size; i += kWidth) {
        const __m256 x = load(block, i);
        _mm256_storeu_ps(out + i, weight(x, lies_in(wide, x), peak, factor));
    }
}

constexpr SamplerKernels kKernels{"avx2", find_peaks, weigh, gather, weights};

}  // namespace

const SamplerKernels* const detail::kAvx2Kernels = &kKernels;

}  // namespace gantry::engine

#else

const gantry::engine::SamplerKernels* const gantry::engine::detail::kAvx2Kernels = nullptr;

#endif
