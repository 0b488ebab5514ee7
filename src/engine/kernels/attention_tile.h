#pragma once
// The arithmetic of attention for one tile: some query vectors of one key-value head against a list of cells. No ggml in here: the
// same source is compiled once a vector width (attention_avx2.cc, attention_avx512.cc), and nothing of it may end up elsewhere.
//
// Flash attention in blocks of kBlock cells: scores, running maximum and sum, weighted values (Milakov and Gimelshein 2018; Dao et
// al. 2022). Accumulators are left unnormalised, so that parts over different cells can be merged.

#include <cstddef>
#include <cstdint>

namespace gantry::engine::kernels {

constexpr uint32_t kBlock = 32;            // cells at once
constexpr uint32_t kHeadSizeMax = 256;     // head sizes: multiples of 16 up to this

struct AttentionTile {
    const float* const* queries = nullptr; // `count` vectors of dk floats
    uint32_t count = 0;                    // rows * heads: row by row, the heads of a row together
    uint32_t heads = 0;                    // query heads that share the key-value head
    bool lanes = false;                    // many queries: a lane each; else a dot product a query and cell. They round differently
    float scale = 1;
    uint32_t dk = 0;
    uint32_t dv = 0;
    const int32_t* cells = nullptr;
    uint32_t cell_count = 0;
    const uint32_t* open = nullptr;        // by row, then by block: a bit a cell of the list, set where the row sees it
    uint32_t open_stride = 0;              // words a row
    const char* k = nullptr;               // of the key-value head: cell i at k + i * k_stride, 16-bit floats
    size_t k_stride = 0;
    const char* v = nullptr;
    size_t v_stride = 0;
    float* out = nullptr;                  // count * dv, unnormalised sums
    float* max = nullptr;                  // count: the highest score; -infinity: the row saw nothing
    float* sum = nullptr;                  // count: of the weights
    float* scratch = nullptr;              // attention_scratch() floats, 64-byte aligned
};

// A tile of so many queries at most.
constexpr size_t attention_scratch(uint32_t count, uint32_t dk, uint32_t dv) {
    const size_t padded = (size_t{count} + 15) / 16 * 16;
    return padded * dk + size_t{kBlock} * (dk + dv) + padded * kBlock + 3 * padded + 64;
}

void attend_avx2(const AttentionTile& tile);
void attend_avx512(const AttentionTile& tile);

}  // namespace gantry::engine::kernels
