// The arithmetic for AVX2 with VNNI; nothing of it may end up elsewhere.
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

template <uint32_t Width, size_t Rows>
inline __attribute__((always_inline)) void dot(const uint8_t* quants, const ActivationBlock* by, __m256i (&products)[Rows][2]) {
#pragma GCC unroll 4
    for (size_t r = 0; r < Rows; ++r) {
        products[r][0] = products[r][1] = _mm256_set1_epi32(by[r].correction);
    }
#pragma GCC unroll 8
    for (uint32_t i = 0; i < kBlockSteps; ++i) {
        const __m256i weights[2] = {load(quants + i * kStepBytes), load(quants + i * kStepBytes + 32)};
#pragma GCC unroll 4
        for (size_t r = 0; r < Rows; ++r) {
            const __m256i four = four_values(by[r].quants + i * 4);
            products[r][0] = _mm256_dpbusd_avx_epi32(products[r][0], weights[0], four);
            products[r][1] = _mm256_dpbusd_avx_epi32(products[r][1], weights[1], four);
        }
    }
}

}  // namespace

const Arithmetic kArithmeticAvxVnni = kArithmetic;

}  // namespace gantry::engine::kernels
