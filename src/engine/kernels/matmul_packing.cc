#include "engine/kernels/matmul_packing.h"

#define GGML_COMMON_DECL_C
#include <ggml-common.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/assert.h"

namespace gantry::engine::kernels {
namespace {

// 32 values of one row as they are kept.
struct Block {
    uint8_t quants[kBlockValues] = {};
    float scale = 0;
    float minimum = 0;
};

float half(ggml_half value) { return ggml_fp16_to_fp32(value); }

void nibbles(const uint8_t* bytes, uint8_t* out) {
    for (uint32_t i = 0; i < 16; ++i) {
        out[i] = bytes[i] & 15;
        out[i + 16] = bytes[i] >> 4;
    }
}

void fifth_bits(const uint8_t* bytes, uint8_t* out) {
    uint32_t bits = 0;
    std::memcpy(&bits, bytes, sizeof bits);
    for (uint32_t i = 0; i < 32; ++i) {
        out[i] = static_cast<uint8_t>(out[i] | ((bits >> i) & 1) << 4);
    }
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
    const uint8_t* bytes = super.qs + part / 2 * 32;
    for (uint32_t i = 0; i < kBlockValues; ++i) {
        block.quants[i] = part % 2 == 0 ? bytes[i] & 15 : bytes[i] >> 4;
    }
    return block;
}

// Six bits with a scale for every 16 values become eight with one for 32: a rounding of a 254th of the largest of them at most.
Block read_q6_k(const block_q6_K& super, uint32_t part) {
    const uint32_t half_block = part / 4;        // of 128 values
    const uint32_t quarter = part % 4;
    const uint8_t* low = super.ql + half_block * 64 + (quarter % 2) * 32;
    const uint8_t* high = super.qh + half_block * 32;
    const int8_t* scales = super.scales + half_block * 8 + quarter * 2;
    const float d = half(super.d);
    float values[kBlockValues];
    float largest = 0;
    for (uint32_t i = 0; i < kBlockValues; ++i) {
        const uint32_t four = quarter < 2 ? low[i] & 15 : low[i] >> 4;
        const int32_t q = static_cast<int32_t>(four | ((high[i] >> (2 * quarter)) & 3) << 4) - 32;
        values[i] = d * static_cast<float>(scales[i / 16]) * static_cast<float>(q);
        largest = std::max(largest, std::abs(values[i]));
    }
    Block block;
    block.scale = half(ggml_fp32_to_fp16(largest / 127));
    for (uint32_t i = 0; i < kBlockValues; ++i) {
        const float q = block.scale > 0 ? std::round(values[i] / block.scale) : 0;
        block.quants[i] = static_cast<uint8_t>(static_cast<int32_t>(std::clamp(q, -127.0F, 127.0F)) + 128);
    }
    return block;
}

Block read_block(ggml_type type, const char* row, size_t index) {
    Block block;
    const auto at = [row, index]<class T>(const T*, size_t by = 1) -> const T& { return reinterpret_cast<const T*>(row)[index / by]; };
    const auto part = static_cast<uint32_t>(index % 8);
    switch (type) {
        case GGML_TYPE_Q4_0: {
            const block_q4_0& from = at(static_cast<block_q4_0*>(nullptr));
            block.scale = half(from.d);
            nibbles(from.qs, block.quants);
            return block;
        }
        case GGML_TYPE_Q4_1: {
            const block_q4_1& from = at(static_cast<block_q4_1*>(nullptr));
            block.scale = half(from.d);
            block.minimum = half(from.m);
            nibbles(from.qs, block.quants);
            return block;
        }
        case GGML_TYPE_Q5_0: {
            const block_q5_0& from = at(static_cast<block_q5_0*>(nullptr));
            block.scale = half(from.d);
            nibbles(from.qs, block.quants);
            fifth_bits(from.qh, block.quants);
            return block;
        }
        case GGML_TYPE_Q5_1: {
            const block_q5_1& from = at(static_cast<block_q5_1*>(nullptr));
            block.scale = half(from.d);
            block.minimum = half(from.m);
            nibbles(from.qs, block.quants);
            fifth_bits(from.qh, block.quants);
            return block;
        }
        case GGML_TYPE_Q8_0: {
            const block_q8_0& from = at(static_cast<block_q8_0*>(nullptr));
            block.scale = half(from.d);
            for (uint32_t i = 0; i < kBlockValues; ++i) {
                block.quants[i] = static_cast<uint8_t>(from.qs[i] + 128);
            }
            return block;
        }
        case GGML_TYPE_Q4_K: return read_k(at(static_cast<block_q4_K*>(nullptr), 8), part);
        case GGML_TYPE_Q5_K: {
            const block_q5_K& super = at(static_cast<block_q5_K*>(nullptr), 8);
            block = read_k(super, part);
            for (uint32_t i = 0; i < kBlockValues; ++i) {
                block.quants[i] = static_cast<uint8_t>(block.quants[i] | ((super.qh[i] >> part) & 1) << 4);
            }
            return block;
        }
        case GGML_TYPE_Q6_K: return read_q6_k(at(static_cast<block_q6_K*>(nullptr), 8), part);
        default: GANTRY_ASSERT(false, "a type that is not packed"); return block;
    }
}

// The interleaved values of a group's block, as bits.
void write_quants(const uint8_t* values, uint32_t bits, uint8_t* out) {
    constexpr uint32_t kValues = kGroupRows * kBlockValues;
    if (bits == 8) {
        std::memcpy(out, values, kValues);
        return;
    }
    for (uint32_t i = 0; i < kValues / 2; ++i) {
        out[i] = static_cast<uint8_t>((values[i] & 15) | (values[i + kValues / 2] & 15) << 4);
    }
    for (uint32_t i = 0; bits == 5 && i < kValues / 8; ++i) {
        uint32_t byte = 0;
        for (uint32_t bit = 0; bit < 8; ++bit) {
            byte |= static_cast<uint32_t>(values[i * 8 + bit] >> 4) << bit;
        }
        out[kValues / 2 + i] = static_cast<uint8_t>(byte);
    }
}

}  // namespace

Packing packing_of(ggml_type type) {
    switch (type) {
        case GGML_TYPE_Q4_0: return {.bits = 4, .offset = 8, .has_minimum = false};
        case GGML_TYPE_Q4_1:
        case GGML_TYPE_Q4_K: return {.bits = 4, .offset = 0, .has_minimum = true};
        case GGML_TYPE_Q5_0: return {.bits = 5, .offset = 16, .has_minimum = false};
        case GGML_TYPE_Q5_1:
        case GGML_TYPE_Q5_K: return {.bits = 5, .offset = 0, .has_minimum = true};
        case GGML_TYPE_Q8_0:
        case GGML_TYPE_Q6_K: return {.bits = 8, .offset = 128, .has_minimum = false};
        default: return {};
    }
}

size_t packed_bytes(const Packing& packing, size_t rows, size_t values) {
    return (rows + kGroupRows - 1) / kGroupRows * packing.group_bytes(values / kBlockValues);
}

void pack_group(ggml_type type, const char* data, size_t row_bytes, size_t rows, size_t values, size_t group, char* out) {
    const Packing packing = packing_of(type);
    const size_t blocks = values / kBlockValues;
    for (size_t block = 0; block < blocks; ++block, out += packing.block_bytes()) {
        auto* scales = reinterpret_cast<ggml_fp16_t*>(out + packing.quant_bytes());
        uint8_t interleaved[kGroupRows * kBlockValues] = {};
        for (uint32_t i = 0; i < kGroupRows; ++i) {
            const size_t row = group * kGroupRows + i;
            const Block read = row < rows ? read_block(type, data + row * row_bytes, block) : Block{};
            for (uint32_t value = 0; value < kBlockValues; ++value) {
                interleaved[value / 4 * 64 + i * 4 + value % 4] = read.quants[value];
            }
            scales[i] = ggml_fp32_to_fp16(read.scale);
            if (packing.has_minimum) {
                scales[kGroupRows + i] = ggml_fp32_to_fp16(read.minimum);
            }
        }
        write_quants(interleaved, packing.bits, reinterpret_cast<uint8_t*>(out));
    }
}

}  // namespace gantry::engine::kernels
