#pragma once
// The fifth bits of quants, which are kept apart from the other four. For files that are compiled for AVX2: each has its own copy.
#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace gantry::engine::kernels {
namespace {

// All bits of a byte set for each of 32 bits that is.
inline __m256i bytes_of(const void* bits) {
    int32_t all = 0;
    std::memcpy(&all, bits, sizeof all);
    const __m256i bytes = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
    const __m256i bit = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201));
    return _mm256_cmpeq_epi8(_mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32(all), bytes), bit), bit);
}

// `fifths`: as above, where the value has the fifth.
inline __m256i with_fifth(__m256i quants, __m256i fifths) { return _mm256_or_si256(quants, _mm256_and_si256(fifths, _mm256_set1_epi8(16))); }

}  // namespace
}  // namespace gantry::engine::kernels
