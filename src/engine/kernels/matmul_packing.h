#pragma once
// Weights in the order in which a kernel reads them.
//
// A matrix of n rows (outputs) of k values each falls into groups of 16 rows and blocks of 32 values. A value is scale x (q - offset) +
// minimum, with scale and minimum by row and block; q is kept in 4 bits, in 4 and a plane of fifth bits, or in 8. Types of a curve keep
// in 4 bits which of its 16 numbers q - offset is. Within a block the
// 16 rows are interleaved by four values: byte 64 j + 4 r + i is value 4 j + i of row r, j = 0..7. With 4 bits, byte j of the first
// half's 256 holds value j in its low and value j + 256 in its high four bits.
// A group is its blocks one after another, as one stream of memory: the quants, 16 scales as halfs and, where the type has them, 16
// minimums. Those of super-blocks are whole numbers, a byte each, and behind them eight halfs that they are times: of rows 0 to 7 in a
// block that is even, of 8 to 15 in the next.
// Weights of 16 bits stay what they are, in the same groups and blocks: half 16 j + r of a block of F16 is value j of row r; half
// 32 j + 2 r + i of BF16 is value 2 j + i.
// Threads: any, no state. Only on a CPU for which install_matmul() is true.

#include <ggml.h>

#include <cstddef>
#include <cstdint>

namespace gantry::engine::kernels {

// Of all that is packed: counted up whenever a byte of it changes (MatmulTest.PackedBytesAreWhatFilesHold), so that no file of before is read.
inline constexpr uint32_t kPackedLayout = 2;

inline constexpr uint32_t kGroupRows = 16;
inline constexpr uint32_t kBlockValues = 32;
inline constexpr uint32_t kSuperBlocks = 8;   // blocks of a super-block of ggml's
inline constexpr uint32_t kBlockSteps = kBlockValues / 4;   // of quants: four values of each row side by side

// ggml's kvalues_iq4nl: of IQ4_NL and IQ4_XS.
inline constexpr int8_t kCurve[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

enum class Minimums { kNone, kHalfs, kWhole };

// What the kernel reads beside the weights.
enum class ActivationKind { kQuants, kFloats, kBf16 };

struct Packing {
    uint32_t bits = 0;        // 4, 5, 8 or 16; 0: a type that is not packed
    int32_t offset = 0;       // 0 where there are minimums
    Minimums minimums = Minimums::kNone;
    bool has_curve = false;
    ActivationKind by = ActivationKind::kQuants;
    uint32_t scale_blocks = 1;   // of activations that share a scale: a super-block's eight beside types of super-blocks, as ggml has it

    uint32_t quant_bytes() const { return kGroupRows * kBlockValues * bits / 8; }   // of a group's block
    uint32_t scale_bytes() const { return bits == 16 ? 0 : kGroupRows * 2; }
    uint32_t block_bytes() const { return quant_bytes() + scale_bytes() * (minimums == Minimums::kNone ? 1 : 2); }
    size_t group_bytes(size_t blocks) const { return blocks * block_bytes(); }
};

// Whether this CPU multiplies it says install_matmul()'s buffer type.
Packing packing_of(ggml_type type);

// Bytes of a whole matrix.
size_t packed_bytes(const Packing& packing, size_t rows, size_t values);

// Packs rows 16 g to 16 g + 15 of a matrix whose rows have `row_bytes` in ggml's layout; rows beyond `rows` become zeros.
void pack_group(ggml_type type, const char* data, size_t row_bytes, size_t rows, size_t values, size_t group, char* out);

}  // namespace gantry::engine::kernels
