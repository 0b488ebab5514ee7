#pragma once
// What a kernel computes at once: a panel of activation rows by one group of weights, over a run of blocks. Internal to kernels/.

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "engine/kernels/matmul_packing.h"

namespace gantry::engine::kernels {

inline constexpr size_t kAhead = 3072;      // bytes to fetch ahead: what memory needs to answer, and a page, where processors stop by themselves
inline constexpr size_t kPanelRows = 16;    // at most: as many sums as leave registers for a block of weights
inline constexpr size_t kTileBlocks = 32;   // that are unpacked at once, of some groups: those fit the second cache

// 32 values of an activation row, and what they are worth. Beside weights of 16 bits a block is 32 floats or BF16 numbers instead.
struct ActivationBlock {
    int8_t quants[kBlockValues];
    float scale;
    int32_t correction;   // - offset x the quants' sum
    float sum;            // scale x the quants' sum, for minimums
    int16_t quant_sums[2];   // for whole minimums: the quants' sum, in even blocks also the next one's, else 0
};
static_assert(sizeof(ActivationBlock) % 4 == 0, "no four quants lie on two lines of the cache");

constexpr size_t activation_block_bytes(ActivationKind kind) {
    return kind == ActivationKind::kQuants ? sizeof(ActivationBlock) : kBlockValues * (kind == ActivationKind::kFloats ? 4 : 2);
}

// Activations of all rows. They fall into panels of nearly equal size; a panel is a run of blocks, a block all its rows.
struct Activations {
    Activations(char* where, ActivationKind kind, size_t row_count, size_t block_count)
        : data(where), rows(row_count), blocks(block_count), block_bytes(activation_block_bytes(kind)) {
        panel = (rows + panels() - 1) / panels();
    }
    size_t panels() const { return (rows + kPanelRows - 1) / kPanelRows; }
    size_t panel_rows(size_t first) const { return std::min(panel, rows - first); }
    // Block `block` of the panel that begins with row `first`; the panel's next block is panel_rows(first) further on.
    char* at(size_t first, size_t block) const { return data + (first * blocks + block * panel_rows(first)) * block_bytes; }

    char* data;
    size_t rows, blocks, block_bytes;
    size_t panel;   // rows of each but the last, which may have fewer
};

// Up to kTileBlocks blocks of a group, a byte a value.
struct alignas(64) UnpackedTile {
    uint8_t quants[kTileBlocks][kGroupRows * kBlockValues];
    float scales[kTileBlocks][kGroupRows];
    float minimums[kTileBlocks][kGroupRows];
    // Whole ones: 2 r and 2 r + 1 are those of row r in two blocks that follow each other.
    int16_t minimum_pairs[kTileBlocks / 2][2 * kGroupRows];
    float minimum_units[kTileBlocks / kSuperBlocks][kGroupRows];
};

// Quantises `count` blocks of numbers by one scale, out[i * stride]. Where the largest is below 1e-36 they become zeros, where one is
// infinite or not a number, so does each product of these blocks.
void quantise(const float* from, size_t count, int32_t offset, ActivationBlock* out, size_t stride);
// Rounds 32 numbers to the nearest of BF16.
void round_to_bf16_avx512(const float* from, char* out);

// Some weights, a panel's rows beside them, and where their products go.
struct PanelProduct {
    size_t blocks;        // a multiple of scale_blocks
    size_t scale_blocks;  // see Packing
    const char* activations;
    size_t rows;          // 1 to kPanelRows
    float* out;           // out[row * stride + output], (+)=
    size_t stride;
    uint32_t outputs;     // 1 to kGroupRows
    bool add;
};

// The same for each kind of CPU. An unpacked tile is of no use to another kind.
struct Arithmetic {
    // The first `count` blocks of packed weights.
    void (*unpack)(const Packing& packing, const char* from, size_t count, UnpackedTile& tile);
    // Straight from packed weights: for few panels.
    void (*multiply_packed)(const Packing& packing, const char* from, const PanelProduct& product);
    // From what was unpacked for several panels.
    void (*multiply_tile)(const Packing& packing, const UnpackedTile& tile, const PanelProduct& product);
};
// Calls with(Packed<bits, minimums, has a curve>{from}): blocks as what they are.
template <template <uint32_t, Minimums, bool> class Packed, class Do>
void as_packed(const Packing& packing, const char* from, Do with) {
    if (packing.has_curve) {
        with(Packed<4, Minimums::kNone, true>{from});
    } else if (packing.bits == 8) {
        with(Packed<8, Minimums::kNone, false>{from});
    } else if (packing.minimums == Minimums::kNone) {
        packing.bits == 4 ? with(Packed<4, Minimums::kNone, false>{from}) : with(Packed<5, Minimums::kNone, false>{from});
    } else if (packing.minimums == Minimums::kHalfs) {
        packing.bits == 4 ? with(Packed<4, Minimums::kHalfs, false>{from}) : with(Packed<5, Minimums::kHalfs, false>{from});
    } else {
        packing.bits == 4 ? with(Packed<4, Minimums::kWhole, false>{from}) : with(Packed<5, Minimums::kWhole, false>{from});
    }
}

extern const Arithmetic kArithmeticAvx2, kArithmeticAvxVnni, kArithmeticAvx512;
// Of F16 and BF16, for any panel: there is nothing to unpack.
void multiply_f16_avx512(const char* from, const PanelProduct& product);
void multiply_bf16_avx512(const char* from, const PanelProduct& product);

}  // namespace gantry::engine::kernels
