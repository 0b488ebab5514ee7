// A start waits for this, so it is compiled for the CPU that the kernel runs on and nothing else: AVX-512.
#include "engine/kernels/matmul_packing.h"

#include <immintrin.h>

#define GGML_COMMON_DECL_C
#include <ggml-common.h>

#include <algorithm>
#include <cstring>

#include "base/assert.h"

namespace gantry::engine::kernels {
namespace {

// 32 values of one row as they are kept.
struct Block {
    __m256i quants = _mm256_setzero_si256();
    float scale = 0;
    float minimum = 0;
};

float half(ggml_half value) { return _cvtsh_ss(value); }

// The low four bits of 16 bytes, then the high ones.
__m256i nibbles(const uint8_t* bytes) {
    const __m128i both = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes));
    const __m128i low = _mm_set1_epi8(15);
    return _mm256_set_m128i(_mm_and_si128(_mm_srli_epi16(both, 4), low), _mm_and_si128(both, low));
}

// Four bits of each of 32 bytes.
__m256i four_bits(const uint8_t* bytes, bool high) {
    const __m256i both = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes));
    return _mm256_and_si256(high ? _mm256_srli_epi16(both, 4) : both, _mm256_set1_epi8(15));
}

__m256i with_fifth(__m256i quants, __mmask32 bits) { return _mm256_mask_add_epi8(quants, bits, quants, _mm256_set1_epi8(16)); }

__mmask32 bits_of(const uint8_t* bytes) {
    uint32_t bits = 0;
    std::memcpy(&bits, bytes, sizeof bits);
    return bits;
}

// Six bits of a scale and a minimum of one of a super-block's eight parts.
void scale_and_minimum(const uint8_t* packed, uint32_t part, float& scale, float& minimum) {
    if (part < 4) {
        scale = static_cast<float>(packed[part] & 63);
        minimum = static_cast<float>(packed[part + 4] & 63);
    } else {
        scale = static_cast<float>((packed[part + 4] & 15) | (packed[part - 4] >> 6) << 4);
        minimum = static_cast<float>((packed[part + 4] >> 4) | (packed[part] >> 6) << 4);
    }
}

template <class Super>
Block read_k(const Super& super, uint32_t part) {
    Block block;
    float scale = 0, minimum = 0;
    scale_and_minimum(super.scales, part, scale, minimum);
    block.scale = half(super.d) * scale;
    block.minimum = -half(super.dmin) * minimum;
    block.quants = four_bits(super.qs + part / 2 * 32, part % 2 != 0);
    return block;
}

// Six bits with a scale for every 16 values become eight with one for 32: a rounding of a 254th of the largest of them at most.
Block read_q6_k(const block_q6_K& super, uint32_t part) {
    const uint32_t half_block = part / 4;        // of 128 values
    const uint32_t quarter = part % 4;
    const uint8_t* low = super.ql + half_block * 64 + (quarter % 2) * 32;
    const uint8_t* high = super.qh + half_block * 32;
    const int8_t* scales = super.scales + half_block * 8 + quarter * 2;
    // Bits 2 q and 2 q + 1 of each byte to where the sixth and fifth stand.
    const __m256i all = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(high));
    const __m256i upper = quarter == 3 ? _mm256_srli_epi16(all, 2) : _mm256_slli_epi16(all, 4 - 2 * static_cast<int>(quarter));
    const __m256i six = _mm256_or_si256(four_bits(low, quarter >= 2), _mm256_and_si256(upper, _mm256_set1_epi8(48)));
    const auto values_of = [&](__m128i sixteen, float scale) {
        const __m512 q = _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_cvtepu8_epi32(sixteen), _mm512_set1_epi32(32)));
        return _mm512_mul_ps(q, _mm512_set1_ps(scale));
    };
    const float d = half(super.d);
    const __m512 first = values_of(_mm256_castsi256_si128(six), d * static_cast<float>(scales[0]));
    const __m512 second = values_of(_mm256_extracti128_si256(six, 1), d * static_cast<float>(scales[1]));
    const float largest = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(first), _mm512_abs_ps(second)));
    Block block;
    block.scale = half(_cvtss_sh(largest / 127, _MM_FROUND_TO_NEAREST_INT));
    const __m512 by = _mm512_set1_ps(block.scale > 0 ? 1 / block.scale : 0);
    const auto quants_of = [&](__m512 values) {
        const __m512i q = _mm512_max_epi32(_mm512_cvtps_epi32(_mm512_mul_ps(values, by)), _mm512_set1_epi32(-127));
        return _mm512_cvtepi32_epi8(_mm512_add_epi32(_mm512_min_epi32(q, _mm512_set1_epi32(127)), _mm512_set1_epi32(128)));
    };
    block.quants = _mm256_set_m128i(quants_of(second), quants_of(first));
    return block;
}

Block read_iq4_xs(const block_iq4_xs& super, uint32_t part) {
    const uint32_t low = (super.scales_l[part / 2] >> (part % 2 * 4)) & 15;
    const uint32_t high = (super.scales_h >> (part * 2)) & 3;
    return {nibbles(super.qs + part * 16), half(super.d) * static_cast<float>(static_cast<int32_t>(low | high << 4) - 32), 0};
}

// The types of 32 values a block and four or five bits each; some have a minimum.
template <class Plain>
Block read_plain(const Plain& from) {
    Block block;
    block.scale = half(from.d);
    block.quants = nibbles(from.qs);
    if constexpr (requires { from.qh; }) {
        block.quants = with_fifth(block.quants, bits_of(from.qh));
    }
    if constexpr (requires { from.m; }) {
        block.minimum = half(from.m);
    }
    return block;
}

template <class Stored>
const Stored& stored(const char* row, size_t index) {
    return reinterpret_cast<const Stored*>(row)[index];
}

Block read_block(ggml_type type, const char* row, size_t index) {
    const size_t super = index / 8;
    const auto part = static_cast<uint32_t>(index % 8);
    switch (type) {
        case GGML_TYPE_Q4_0: return read_plain(stored<block_q4_0>(row, index));
        case GGML_TYPE_Q4_1: return read_plain(stored<block_q4_1>(row, index));
        case GGML_TYPE_Q5_0: return read_plain(stored<block_q5_0>(row, index));
        case GGML_TYPE_Q5_1: return read_plain(stored<block_q5_1>(row, index));
        case GGML_TYPE_Q8_0: {
            const auto& from = stored<block_q8_0>(row, index);
            const __m256i quants = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from.qs));
            return {_mm256_xor_si256(quants, _mm256_set1_epi8(-128)), half(from.d), 0};
        }
        case GGML_TYPE_Q4_K: return read_k(stored<block_q4_K>(row, super), part);
        case GGML_TYPE_Q5_K: {
            const auto& from = stored<block_q5_K>(row, super);
            Block block = read_k(from, part);
            const __m256i fifth = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from.qh));
            block.quants = with_fifth(block.quants, _mm256_test_epi8_mask(fifth, _mm256_set1_epi8(static_cast<char>(1 << part))));
            return block;
        }
        case GGML_TYPE_IQ4_NL: return read_plain(stored<block_iq4_nl>(row, index));
        case GGML_TYPE_IQ4_XS: return read_iq4_xs(stored<block_iq4_xs>(row, super), part);
        case GGML_TYPE_Q6_K: return read_q6_k(stored<block_q6_K>(row, super), part);
        default: GANTRY_ASSERT(false, "a type that is not packed"); return {};
    }
}

// Writes the values of a group's block, row by row in `rows`, interleaved by four and as bits.
void write_quants(const uint8_t (&rows)[kGroupRows][kBlockValues], uint32_t bits, uint8_t* out) {
    const __m512i row = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i by_row = _mm512_mullo_epi32(row, _mm512_set1_epi32(kBlockValues));
    __m512i steps[kBlockValues / 4];
    for (uint32_t step = 0; step < kBlockValues / 4; ++step) {
        steps[step] = _mm512_i32gather_epi32(by_row, &rows[0][step * 4], 1);
    }
    if (bits == 8) {
        std::memcpy(out, steps, sizeof steps);
        return;
    }
    const __m512i low = _mm512_set1_epi8(15);
    for (uint32_t step = 0; step < kBlockValues / 8; ++step) {
        const __m512i high = _mm512_slli_epi16(_mm512_and_si512(steps[step + kBlockValues / 8], low), 4);
        _mm512_storeu_si512(out + step * 64, _mm512_or_si512(_mm512_and_si512(steps[step], low), high));
    }
    for (uint32_t step = 0; bits == 5 && step < kBlockValues / 4; ++step) {
        const uint64_t fifth = _mm512_test_epi8_mask(steps[step], _mm512_set1_epi8(16));
        std::memcpy(out + 256 + step * 8, &fifth, sizeof fifth);
    }
}

void write_halfs(const float* from, char* out) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm512_cvtps_ph(_mm512_load_ps(from), _MM_FROUND_TO_NEAREST_INT));
}

// A group's rows are read by pairs of values, which BF16 keeps together and F16 one after the other.
void pack_halfs(const char* data, size_t row_bytes, size_t rows, size_t values, bool as_pairs, char* out) {
    const __m512i row = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i at = _mm512_mullo_epi32(row, _mm512_set1_epi32(static_cast<int>(row_bytes)));
    const auto there = static_cast<__mmask16>((1u << std::min<size_t>(rows, kGroupRows)) - 1);
    for (size_t value = 0; value < values; value += 2, out += 64) {
        const __m512i pairs = _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), there, at, data + value * 2, 1);
        if (as_pairs) {
            _mm512_storeu_si512(out, pairs);
        } else {
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm512_cvtepi32_epi16(pairs));
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 32), _mm512_cvtepi32_epi16(_mm512_srli_epi32(pairs, 16)));
        }
    }
}

}  // namespace

Packing packing_of(ggml_type type) {
    switch (type) {
        case GGML_TYPE_Q4_0: return {.bits = 4, .offset = 8};
        case GGML_TYPE_Q4_1:
        case GGML_TYPE_Q4_K: return {.bits = 4, .has_minimum = true};
        case GGML_TYPE_Q5_0: return {.bits = 5, .offset = 16};
        case GGML_TYPE_Q5_1:
        case GGML_TYPE_Q5_K: return {.bits = 5, .has_minimum = true};
        case GGML_TYPE_Q8_0:
        case GGML_TYPE_Q6_K: return {.bits = 8, .offset = 128};
        case GGML_TYPE_IQ4_NL:
        case GGML_TYPE_IQ4_XS: return {.bits = 4, .offset = 128, .has_curve = true};
        case GGML_TYPE_F16: return {.bits = 16, .by = ActivationKind::kFloats};
        case GGML_TYPE_BF16: return {.bits = 16, .by = ActivationKind::kBf16};
        default: return {};
    }
}

size_t packed_bytes(const Packing& packing, size_t rows, size_t values) {
    return (rows + kGroupRows - 1) / kGroupRows * packing.group_bytes(values / kBlockValues);
}

void pack_group(ggml_type type, const char* data, size_t row_bytes, size_t rows, size_t values, size_t group, char* out) {
    const Packing packing = packing_of(type);
    const size_t blocks = values / kBlockValues;
    if (packing.bits == 16) {
        const size_t first = group * kGroupRows;
        pack_halfs(data + first * row_bytes, row_bytes, rows - first, values, packing.by == ActivationKind::kBf16, out);
        return;
    }
    for (size_t block = 0; block < blocks; ++block, out += packing.block_bytes()) {
        alignas(64) uint8_t quants[kGroupRows][kBlockValues];
        alignas(64) float scales[kGroupRows], minimums[kGroupRows];
        for (uint32_t i = 0; i < kGroupRows; ++i) {
            const size_t row = group * kGroupRows + i;
            const Block read = row < rows ? read_block(type, data + row * row_bytes, block) : Block{};
            _mm256_store_si256(reinterpret_cast<__m256i*>(quants[i]), read.quants);
            scales[i] = read.scale;
            minimums[i] = read.minimum;
        }
        write_quants(quants, packing.bits, reinterpret_cast<uint8_t*>(out));
        write_halfs(scales, out + packing.quant_bytes());
        if (packing.has_minimum) {
            write_halfs(minimums, out + packing.quant_bytes() + packing.scale_bytes());
        }
    }
}

}  // namespace gantry::engine::kernels
