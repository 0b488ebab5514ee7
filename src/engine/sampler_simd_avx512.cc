// 16 logits at a time; a mask's 16 bits are the register that selects lanes.
#include "engine/sampler_simd.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <bit>

#define GANTRY_AVX512 __attribute__((target("avx512f,avx2,fma,popcnt")))

namespace gantry::engine {
namespace {

using detail::kLanes;

GANTRY_AVX512 inline __m512 load(const LogitBlock& block, uint32_t i) {
    if (!block.mask) {
        return _mm512_loadu_ps(block.values + i);
    }
    const auto there = static_cast<__mmask16>(block.mask[i / 32] >> (i % 32));
    return _mm512_mask_loadu_ps(_mm512_set1_ps(-std::numeric_limits<float>::infinity()), there, block.values + i);
}

struct Band {
    __m512 from;
    __m512 below;
};

GANTRY_AVX512 inline Band broadcast(const LogitBand& band) { return Band{_mm512_set1_ps(band.from), _mm512_set1_ps(band.below)}; }

GANTRY_AVX512 inline __mmask16 lies_in(const Band& band, __m512 x) {
    return _mm512_mask_cmp_ps_mask(_mm512_cmp_ps_mask(x, band.from, _CMP_GE_OQ), x, band.below, _CMP_LT_OQ);
}

struct Weights {
    __m512 values;
    __mmask16 counts;   // the lanes that are not 0
};

// As weight_of(), step by step.
GANTRY_AVX512 inline Weights weight(__m512 x, __mmask16 keep, __m512 peak, __m512 scale) {
    const __m512 power = _mm512_mul_ps(_mm512_sub_ps(x, peak), scale);
    const __mmask16 counts = _mm512_mask_cmp_ps_mask(keep, power, _mm512_set1_ps(detail::kSmallestPower), _CMP_GE_OQ);
    const __m512 whole = _mm512_roundscale_ps(power, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const __m512 part = _mm512_sub_ps(power, whole);
    __m512 p = _mm512_set1_ps(detail::kPower[4]);
    for (int i = 3; i >= 0; --i) {
        p = _mm512_fmadd_ps(p, part, _mm512_set1_ps(detail::kPower[i]));
    }
    p = _mm512_fmadd_ps(p, part, _mm512_set1_ps(1.0f));
    return Weights{_mm512_scalef_ps(p, whole), counts};
}

GANTRY_AVX512 inline __m256 upper_half(__m512 x) { return _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(x), 1)); }

GANTRY_AVX512 inline float fold(__m512 sixteen) {
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(sixteen), upper_half(sixteen));
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    four = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}

GANTRY_AVX512 inline float largest(__m512 x) {
    const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(x), upper_half(x));
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    four = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}

GANTRY_AVX512 bool find_peaks(std::span<LogitBlock> blocks) {
    __mmask16 unordered = 0;
    for (LogitBlock& block : blocks) {
        __m512 best = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
        for (uint32_t i = 0; i < block.size; i += kLanes) {
            const __m512 x = load(block, i);
            unordered = static_cast<__mmask16>(unordered | _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q));
            best = _mm512_max_ps(x, best);
        }
        block.max = largest(best);
    }
    return unordered == 0;
}

GANTRY_AVX512 Weighed weigh(std::span<const LogitBlock> blocks, const LogitBand& band, const WeightScale& scale, double* masses) {
    const Band wide = broadcast(band);
    const __m512 peak = _mm512_set1_ps(scale.peak);
    const __m512 factor = _mm512_set1_ps(scale.scale);
    Weighed all;
    for (size_t b = 0; b < blocks.size(); ++b) {
        const LogitBlock& block = blocks[b];
        double mass = 0;
        if (block.max >= band.from) {
            __m512 sum = _mm512_setzero_ps();
            for (uint32_t i = 0; i < block.size; i += kLanes) {
                const __m512 x = load(block, i);
                const __mmask16 keep = lies_in(wide, x);
                if (keep != 0) {
                    all.count += static_cast<uint64_t>(std::popcount(static_cast<uint32_t>(keep)));
                    const Weights w = weight(x, keep, peak, factor);
                    sum = _mm512_mask_add_ps(sum, w.counts, sum, w.values);
                }
            }
            mass = fold(sum);
        }
        all.mass += mass;
        if (masses) {
            masses[b] = mass;
        }
    }
    return all;
}

GANTRY_AVX512 uint32_t gather(const LogitBlock& block, const LogitBand& band, Candidate* out) {
    const Band wide = broadcast(band);
    uint32_t count = 0;
    for (uint32_t i = 0; i < block.size; i += kLanes) {
        auto bits = static_cast<uint32_t>(lies_in(wide, load(block, i)));
        for (; bits != 0; bits &= bits - 1) {
            const uint32_t at = i + static_cast<uint32_t>(std::countr_zero(bits));
            out[count++] = Candidate{block.values[at], block.token(at)};
        }
    }
    return count;
}

GANTRY_AVX512 void weights(const LogitBlock& block, const LogitBand& band, const WeightScale& scale, float* out) {
    const Band wide = broadcast(band);
    const __m512 peak = _mm512_set1_ps(scale.peak);
    const __m512 factor = _mm512_set1_ps(scale.scale);
    for (uint32_t i = 0; i < block.size; i += kLanes) {
        const __m512 x = load(block, i);
        const Weights w = weight(x, lies_in(wide, x), peak, factor);
        _mm512_storeu_ps(out + i, _mm512_maskz_mov_ps(w.counts, w.values));
    }
}

constexpr SamplerKernels kKernels{"avx512", find_peaks, weigh, gather, weights};

}  // namespace

const SamplerKernels* const detail::kAvx512Kernels = &kKernels;

}  // namespace gantry::engine

#else

const gantry::engine::SamplerKernels* const gantry::engine::detail::kAvx512Kernels = nullptr;

#endif
