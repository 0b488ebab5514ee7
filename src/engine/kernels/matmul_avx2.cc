// The arithmetic for AVX2; nothing of it may end up elsewhere.
#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "engine/kernels/fifth_bits.h"
#include "engine/kernels/matmul_tile.h"

namespace gantry::engine::kernels {
namespace {

template <uint32_t Width, size_t Rows>
void dot(const uint8_t* quants, const ActivationBlock* by, __m256i (&products)[Rows][2]);

#include "engine/kernels/matmul_256.inc"

// A sum that is made here: the compiler would rather multiply everything first, and then has no registers to keep it in.
inline __attribute__((always_inline)) __m256i kept(__m256i sum) {
    asm("" : "+x"(sum));
    return sum;
}

// Pairs of bytes become sums of 16 bits, which hold eight of four bits by seven, or four of five: only then are they widened.
template <size_t Rows, uint32_t Run>
inline __attribute__((always_inline)) void dot_short(const uint8_t* quants, const ActivationBlock* by, __m256i (&products)[Rows][2]) {
    const __m256i ones = _mm256_set1_epi16(1);
#pragma GCC unroll 4
    for (size_t r = 0; r < Rows; ++r) {
        products[r][0] = products[r][1] = _mm256_set1_epi32(by[r].correction);
    }
#pragma GCC unroll 2
    for (uint32_t first = 0; first < kBlockSteps; first += Run) {
        __m256i sums[Rows][2];
#pragma GCC unroll 8
        for (uint32_t i = first; i < first + Run; ++i) {
            const __m256i weights[2] = {load(quants + i * kStepBytes), load(quants + i * kStepBytes + 32)};
#pragma GCC unroll 4
            for (size_t r = 0; r < Rows; ++r) {
                const __m256i four = four_values(by[r].quants + i * 4);
#pragma GCC unroll 2
                for (size_t half = 0; half < 2; ++half) {
                    const __m256i pairs = _mm256_maddubs_epi16(weights[half], four);
                    sums[r][half] = kept(i == first ? pairs : _mm256_add_epi16(sums[r][half], pairs));
                }
            }
        }
#pragma GCC unroll 4
        for (size_t r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
            for (size_t half = 0; half < 2; ++half) {
                products[r][half] = _mm256_add_epi32(products[r][half], _mm256_madd_epi16(sums[r][half], ones));
            }
        }
    }
}

// Eight bits by seven leave no room in 16 bits unless both have a sign, so the weights' goes over to the activations. Without an offset
// there is nothing to correct.
template <size_t Rows>
inline __attribute__((always_inline)) void dot_wide(const uint8_t* quants, const ActivationBlock* by, __m256i (&products)[Rows][2]) {
    const __m256i ones = _mm256_set1_epi16(1);
#pragma GCC unroll 8
    for (uint32_t i = 0; i < kBlockSteps; ++i) {
#pragma GCC unroll 2
        for (size_t half = 0; half < 2; ++half) {
            const __m256i weights = _mm256_xor_si256(load(quants + i * kStepBytes + half * 32), _mm256_set1_epi8(-128));
            const __m256i sizes = _mm256_abs_epi8(weights);
#pragma GCC unroll 4
            for (size_t r = 0; r < Rows; ++r) {
                const __m256i pairs = _mm256_maddubs_epi16(sizes, _mm256_sign_epi8(four_values(by[r].quants + i * 4), weights));
                const __m256i sum = _mm256_madd_epi16(pairs, ones);
                products[r][half] = kept(i == 0 ? sum : _mm256_add_epi32(products[r][half], sum));
            }
        }
    }
}

template <uint32_t Width, size_t Rows>
inline __attribute__((always_inline)) void dot(const uint8_t* quants, const ActivationBlock* by, __m256i (&products)[Rows][2]) {
    if constexpr (Width == 8) {
        dot_wide<Rows>(quants, by, products);
    } else {
        dot_short<Rows, Width == 4 ? 8 : 4>(quants, by, products);
    }
}

}  // namespace

const Arithmetic kArithmeticAvx2 = kArithmetic;

}  // namespace gantry::engine::kernels
