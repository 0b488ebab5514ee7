// A start waits for packing, and a step for what is rounded, so they are compiled for AVX2, which all kernels' CPUs have.
#include "engine/kernels/matmul_packing.h"

#include <immintrin.h>

#define GGML_COMMON_DECL_C
#include <ggml-common.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/assert.h"
#include "engine/kernels/fifth_bits.h"
#include "engine/kernels/matmul_tile.h"

namespace gantry::engine::kernels {
namespace {

static_assert(kSuperBlocks == QK_K / kBlockValues);
constexpr float kLeast = 1e-36F;   // whose 127th part still has an inverse

// 32 values of one row as they are kept.
struct Block {
    __m256i quants = _mm256_setzero_si256();
    float scale = 0;
    float minimum = 0;   // times `whole`
    uint8_t whole = 1;
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

float largest_of(const __m256 (&values)[4]) {
    const __m256 sign = _mm256_set1_ps(-0.0F);
    const __m256 eight = _mm256_max_ps(_mm256_max_ps(_mm256_andnot_ps(sign, values[0]), _mm256_andnot_ps(sign, values[1])),
                                       _mm256_max_ps(_mm256_andnot_ps(sign, values[2]), _mm256_andnot_ps(sign, values[3])));
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    four = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}

struct Values {
    __m256 eights[4];
};

Values load(const float* from) {
    return {{_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8), _mm256_loadu_ps(from + 16), _mm256_loadu_ps(from + 24)}};
}

int32_t sum_of(__m256i bytes) {
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), bytes);
    const __m256i eight = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, _MM_SHUFFLE(1, 0, 3, 2)));
    return _mm_cvtsi128_si32(_mm_add_epi32(four, _mm_shuffle_epi32(four, _MM_SHUFFLE(2, 3, 0, 1))));
}

// Rounds values x by to -127 .. 127. What is not a number becomes the lowest.
__m256i rounded(const __m256 (&values)[4], float by) {
    const __m256 factor = _mm256_set1_ps(by);
    __m256i whole[4];
    for (size_t i = 0; i < 4; ++i) {
        whole[i] = _mm256_cvtps_epi32(_mm256_mul_ps(values[i], factor));
    }
    const __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(whole[0], whole[1]), _mm256_packs_epi32(whole[2], whole[3]));
    const __m256i ordered = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    return _mm256_max_epi8(ordered, _mm256_set1_epi8(-127));
}

// Six bits of a scale and a minimum of one of a super-block's eight parts.
void scale_and_minimum(const uint8_t* packed, uint32_t part, uint8_t& scale, uint8_t& minimum) {
    if (part < 4) {
        scale = packed[part] & 63;
        minimum = packed[part + 4] & 63;
    } else {
        scale = static_cast<uint8_t>((packed[part + 4] & 15) | (packed[part - 4] >> 6) << 4);
        minimum = static_cast<uint8_t>((packed[part + 4] >> 4) | (packed[part] >> 6) << 4);
    }
}

template <class Super>
Block read_k(const Super& super, uint32_t part) {
    Block block;
    uint8_t scale = 0;
    scale_and_minimum(super.scales, part, scale, block.whole);
    block.scale = half(super.d) * scale;
    block.minimum = -half(super.dmin);
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
    const float d = half(super.d);
    alignas(32) uint8_t quants[kBlockValues];
    _mm256_store_si256(reinterpret_cast<__m256i*>(quants), six);
    __m256 values[4];
    for (size_t i = 0; i < 4; ++i) {
        const __m256i eight = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(quants + i * 8)));
        const __m256 q = _mm256_cvtepi32_ps(_mm256_sub_epi32(eight, _mm256_set1_epi32(32)));
        values[i] = _mm256_mul_ps(q, _mm256_set1_ps(d * static_cast<float>(scales[i / 2])));
    }
    Block block;
    block.scale = half(_cvtss_sh(largest_of(values) / 127, _MM_FROUND_TO_NEAREST_INT));
    block.quants = _mm256_xor_si256(rounded(values, block.scale > 0 ? 1 / block.scale : 0), _mm256_set1_epi8(-128));
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
        block.quants = with_fifth(block.quants, bytes_of(from.qh));
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
            const __m256i bit = _mm256_set1_epi8(static_cast<char>(1 << part));
            const __m256i fifth = _mm256_and_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from.qh)), bit);
            block.quants = with_fifth(block.quants, _mm256_cmpeq_epi8(fifth, bit));
            return block;
        }
        case GGML_TYPE_IQ4_NL: return read_plain(stored<block_iq4_nl>(row, index));
        case GGML_TYPE_IQ4_XS: return read_iq4_xs(stored<block_iq4_xs>(row, super), part);
        case GGML_TYPE_Q6_K: return read_q6_k(stored<block_q6_K>(row, super), part);
        default: GANTRY_ASSERT(false, "a type that is not packed"); return {};
    }
}

// Four values of each of eight rows, by four values.
void interleave(const uint8_t (*rows)[kBlockValues], __m256i (&steps)[kBlockSteps]) {
    __m256i row[8], pairs[8], fours[8];
    for (size_t i = 0; i < 8; ++i) {
        row[i] = _mm256_load_si256(reinterpret_cast<const __m256i*>(rows[i]));
    }
    for (size_t i = 0; i < 8; i += 2) {
        pairs[i] = _mm256_unpacklo_epi32(row[i], row[i + 1]);
        pairs[i + 1] = _mm256_unpackhi_epi32(row[i], row[i + 1]);
    }
    for (size_t i = 0; i < 8; i += 4) {
        for (size_t k = 0; k < 2; ++k) {
            fours[i + 2 * k] = _mm256_unpacklo_epi64(pairs[i + k], pairs[i + k + 2]);
            fours[i + 2 * k + 1] = _mm256_unpackhi_epi64(pairs[i + k], pairs[i + k + 2]);
        }
    }
    for (size_t i = 0; i < 4; ++i) {
        steps[i] = _mm256_permute2x128_si256(fours[i], fours[i + 4], 0x20);
        steps[i + 4] = _mm256_permute2x128_si256(fours[i], fours[i + 4], 0x31);
    }
}

// Writes the values of a group's block, row by row in `rows`, interleaved by four and as bits.
void write_quants(const uint8_t (&rows)[kGroupRows][kBlockValues], uint32_t bits, uint8_t* out) {
    for (uint32_t half = 0; half < 2; ++half) {
        __m256i steps[kBlockSteps];
        interleave(rows + half * 8, steps);
        const auto store = [&](uint32_t step, __m256i values) {
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + step * 64 + half * 32), values);
        };
        for (uint32_t step = 0; step < (bits == 8 ? kBlockSteps : kBlockSteps / 2); ++step) {
            const auto low = [&](uint32_t of) { return _mm256_and_si256(steps[of], _mm256_set1_epi8(15)); };
            store(step, bits == 8 ? steps[step] : _mm256_or_si256(low(step), _mm256_slli_epi16(low(step + kBlockSteps / 2), 4)));
        }
        for (uint32_t step = 0; bits == 5 && step < kBlockSteps; ++step) {
            const int32_t fifth = _mm256_movemask_epi8(_mm256_slli_epi16(steps[step], 3));
            std::memcpy(out + 256 + step * 8 + half * 4, &fifth, sizeof fifth);
        }
    }
}

void write_halfs(const float* from, size_t count, char* out) {
    for (size_t i = 0; i < count; i += 8) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i * 2), _mm256_cvtps_ph(_mm256_load_ps(from + i), _MM_FROUND_TO_NEAREST_INT));
    }
}

// A group's rows are read by pairs of values, which BF16 keeps together and F16 one after the other.
void pack_halfs(const char* data, size_t row_bytes, size_t rows, size_t values, bool as_pairs, char* out) {
    for (size_t value = 0; value < values; value += 2, out += 64) {
        uint16_t pairs[kGroupRows][2] = {};
        for (size_t row = 0; row < std::min<size_t>(rows, kGroupRows); ++row) {
            std::memcpy(pairs[row], data + row * row_bytes + value * 2, sizeof pairs[row]);
        }
        uint16_t apart[2][kGroupRows];
        for (size_t row = 0; row < kGroupRows; ++row) {
            apart[0][row] = pairs[row][0];
            apart[1][row] = pairs[row][1];
        }
        std::memcpy(out, as_pairs ? &pairs[0][0] : &apart[0][0], sizeof pairs);
    }
}

}  // namespace

Packing packing_of(ggml_type type) {
    switch (type) {
        case GGML_TYPE_Q4_0: return {.bits = 4, .offset = 8};
        case GGML_TYPE_Q4_1: return {.bits = 4, .minimums = Minimums::kHalfs};
        case GGML_TYPE_Q4_K: return {.bits = 4, .minimums = Minimums::kWhole, .scale_blocks = kSuperBlocks};
        case GGML_TYPE_Q5_0: return {.bits = 5, .offset = 16};
        case GGML_TYPE_Q5_1: return {.bits = 5, .minimums = Minimums::kHalfs};
        case GGML_TYPE_Q5_K: return {.bits = 5, .minimums = Minimums::kWhole, .scale_blocks = kSuperBlocks};
        case GGML_TYPE_Q8_0: return {.bits = 8, .offset = 128};
        case GGML_TYPE_Q6_K: return {.bits = 8, .offset = 128, .scale_blocks = kSuperBlocks};
        case GGML_TYPE_IQ4_NL: return {.bits = 4, .offset = 128, .has_curve = true};
        case GGML_TYPE_IQ4_XS: return {.bits = 4, .offset = 128, .has_curve = true, .scale_blocks = kSuperBlocks};
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
        uint8_t whole[kGroupRows];
        for (uint32_t i = 0; i < kGroupRows; ++i) {
            const size_t row = group * kGroupRows + i;
            const Block read = row < rows ? read_block(type, data + row * row_bytes, block) : Block{};
            _mm256_store_si256(reinterpret_cast<__m256i*>(quants[i]), read.quants);
            scales[i] = read.scale;
            minimums[i] = read.minimum;
            whole[i] = read.whole;
        }
        write_quants(quants, packing.bits, reinterpret_cast<uint8_t*>(out));
        write_halfs(scales, kGroupRows, out + packing.quant_bytes());
        char* behind = out + packing.quant_bytes() + packing.scale_bytes();
        switch (packing.minimums) {
            case Minimums::kNone: break;
            case Minimums::kHalfs: write_halfs(minimums, kGroupRows, behind); break;
            case Minimums::kWhole:
                std::memcpy(behind, whole, sizeof whole);
                write_halfs(minimums + block % 2 * 8, 8, behind + sizeof whole);
                break;
        }
    }
}

void quantise(const float* from, size_t count, int32_t offset, ActivationBlock* out, size_t stride) {
    // What is too small to have an inverse is nothing. A maximum forgets what is not a number, so that is looked for by itself.
    float largest = 0;
    __m256 unordered = _mm256_setzero_ps();
    for (size_t i = 0; i < count; ++i) {
        const Values values = load(from + i * kBlockValues);
        largest = std::max(largest, largest_of(values.eights));
        unordered = _mm256_or_ps(unordered, _mm256_cmp_ps(values.eights[0], values.eights[1], _CMP_UNORD_Q));
        unordered = _mm256_or_ps(unordered, _mm256_cmp_ps(values.eights[2], values.eights[3], _CMP_UNORD_Q));
    }
    const bool numbers = _mm256_testz_ps(unordered, unordered) != 0;
    const float scale = !numbers ? std::numeric_limits<float>::quiet_NaN() : largest > kLeast ? largest / 127 : 0;
    const float inverse = largest > kLeast ? 127 / largest : 0;
    for (size_t i = 0; i < count; ++i, out += stride) {
        const __m256i quants = rounded(load(from + i * kBlockValues).eights, inverse);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out->quants), quants);
        const int32_t sum = sum_of(quants);
        out->scale = scale;
        out->correction = -offset * sum;
        out->sum = scale * static_cast<float>(sum);
        out->quant_sums[0] = static_cast<int16_t>(sum);   // 32 times 127 at most
        out->quant_sums[1] = 0;
        if (i % 2 != 0) {
            out[-static_cast<std::ptrdiff_t>(stride)].quant_sums[1] = static_cast<int16_t>(sum);
        }
    }
}

}  // namespace gantry::engine::kernels
