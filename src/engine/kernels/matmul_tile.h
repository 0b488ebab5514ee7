#pragma once
// What a kernel computes at once: some rows of activations by two groups of weights, over a run of blocks. Internal to kernels/.

#include <cstddef>
#include <cstdint>

#include "engine/kernels/matmul_packing.h"

namespace gantry::engine::kernels {

inline constexpr uint32_t kTileGroups = 2;
inline constexpr uint32_t kTileOutputs = kTileGroups * kGroupRows;
inline constexpr uint32_t kTileBlocks = 16;   // that are unpacked at once: with their scales they fit the first cache beside the activations

// A block of an activation row: what its 32 quants are worth.
struct ActivationScale {
    float scale;
    int32_t correction;   // - offset x the quants' sum
    float sum;            // scale x the quants' sum, for minimums
};

// Activations of all rows: quants by row, then scales by row.
struct Activations {
    const int8_t* quants;
    const ActivationScale* scales;
    size_t values;        // of a row
};

// Up to kTileBlocks blocks of two groups, a byte a value.
struct alignas(64) UnpackedTile {
    uint8_t quants[kTileBlocks][kTileGroups][kGroupRows * kBlockValues];
    float scales[kTileBlocks][kTileGroups][kGroupRows];
    float minimums[kTileBlocks][kTileGroups][kGroupRows];
};

// Quantises `values` numbers; a block whose largest is 0 or not finite becomes zeros or not a number.
void quantise_avx512(const float* from, size_t values, int32_t offset, int8_t* quants, ActivationScale* scales);

// Blocks `first`..`first + count` of the groups; the second may be absent.
void unpack_avx512(const Packing& packing, const char* const groups[kTileGroups], size_t first, uint32_t count, UnpackedTile& tile);

// out[r][0..outputs) (+)= the products of the tile's blocks, for the first `rows` rows. `stride`: floats from a row of `out` to the next.
void multiply_avx512(const Packing& packing, const UnpackedTile& tile, size_t first, uint32_t count, const Activations& activations,
                     size_t rows, float* out, size_t stride, uint32_t outputs, bool add);

// The same for all blocks and one row, straight from the packed weights: nobody else would use what was unpacked.
void multiply_one_avx512(const Packing& packing, const char* const groups[kTileGroups], size_t blocks, const Activations& activations, float* out,
                         uint32_t outputs);

}  // namespace gantry::engine::kernels
