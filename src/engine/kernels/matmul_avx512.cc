// The kernel for AVX-512 with VNNI; compiled for such a CPU, so nothing here may run on another.
#include <immintrin.h>

#include <cstring>
#include <utility>

#include "engine/kernels/matmul_tile.h"

namespace gantry::engine::kernels {
namespace {

constexpr size_t kChains = 4;      // of sums at a time

inline __attribute__((always_inline)) __m128i bytes(const char* from) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)); }
inline __attribute__((always_inline)) __m512 load_halfs(const char* from) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}

// The curve's numbers, all positive: what its offset takes away again.
inline __attribute__((always_inline)) __m512i curve() {
    const __m128i numbers = bytes(reinterpret_cast<const char*>(kCurve));
    return _mm512_broadcast_i32x4(_mm_xor_si128(numbers, _mm_set1_epi8(-128)));
}

// Blocks as they are kept in memory.
template <uint32_t Bits, Minimums Kept, bool Curve>
struct Packed {
    static constexpr Minimums kMinimums = Kept;
    static constexpr bool kInMemory = true;
    static constexpr uint32_t kQuantBytes = kGroupRows * kBlockValues * Bits / 8;
    static constexpr uint32_t kBehind = kQuantBytes + kGroupRows * 2;   // where minimums are
    static constexpr uint32_t kBytes = kBehind + (Kept == Minimums::kNone ? 0 : kGroupRows * 2);

    const char* at;

    void next() { at += kBytes; }
    void fetch_ahead() const {
#pragma GCC unroll 8
        for (uint32_t line = 0; line < kBytes; line += 64) {
            _mm_prefetch(at + kAhead + line, _MM_HINT_T0);
        }
    }
    __m512 scales() const { return load_halfs(at + kQuantBytes); }
    __m512 minimums() const { return load_halfs(at + kBehind); }
    __m512i whole_minimums() const { return _mm512_cvtepu8_epi32(bytes(at + kBehind)); }
    // Of this block and those behind it: see UnpackedTile.
    __m512i pair(uint32_t i) const {
        const __m128i even = bytes(at + 2 * i * kBytes + kBehind), odd = bytes(at + (2 * i + 1) * kBytes + kBehind);
        return _mm512_cvtepu8_epi16(_mm256_set_m128i(_mm_unpackhi_epi8(even, odd), _mm_unpacklo_epi8(even, odd)));
    }
    // Of the super-block that ended: each two blocks have them.
    __m512 units() const {
        const char* last = at - kBytes + kBehind + kGroupRows;
        return _mm512_cvtph_ps(_mm256_set_m128i(bytes(last), bytes(last - kBytes)));
    }
    inline __attribute__((always_inline)) void quants(__m512i (&out)[kBlockSteps]) const {
        if constexpr (Bits == 8) {
#pragma GCC unroll 8
            for (uint32_t i = 0; i < kBlockSteps; ++i) {
                out[i] = _mm512_loadu_si512(at + i * 64);
            }
            return;
        }
        const __m512i low = _mm512_set1_epi8(15);
#pragma GCC unroll 8
        for (uint32_t i = 0; i < kBlockSteps / 2; ++i) {
            const __m512i both = _mm512_loadu_si512(at + i * 64);
            out[i] = _mm512_and_si512(both, low);
            out[i + kBlockSteps / 2] = _mm512_and_si512(_mm512_srli_epi16(both, 4), low);
        }
        if constexpr (Curve) {
            const __m512i numbers = curve();
#pragma GCC unroll 8
            for (uint32_t i = 0; i < kBlockSteps; ++i) {
                out[i] = _mm512_shuffle_epi8(numbers, out[i]);
            }
        }
        if constexpr (Bits == 5) {
            const __m512i sixteen = _mm512_set1_epi8(16);
#pragma GCC unroll 8
            for (uint32_t i = 0; i < kBlockSteps; ++i) {
                uint64_t fifth;
                std::memcpy(&fifth, at + 256 + i * 8, 8);
                out[i] = _mm512_mask_add_epi8(out[i], fifth, out[i], sixteen);
            }
        }
    }
};

template <Minimums Kept>
struct Unpacked {
    static constexpr Minimums kMinimums = Kept;
    static constexpr bool kInMemory = false;

    const UnpackedTile& tile;
    size_t block = 0;

    void next() { ++block; }
    void fetch_ahead() const {}
    __m512 scales() const { return _mm512_load_ps(tile.scales[block]); }
    __m512 minimums() const { return _mm512_load_ps(tile.minimums[block]); }
    __m512i pair(uint32_t i) const { return _mm512_load_si512(tile.minimum_pairs[block / 2 + i]); }
    __m512 units() const { return _mm512_load_ps(tile.minimum_units[block / kSuperBlocks - 1]); }
    inline __attribute__((always_inline)) void quants(__m512i (&out)[kBlockSteps]) const {
#pragma GCC unroll 8
        for (uint32_t i = 0; i < kBlockSteps; ++i) {
            out[i] = _mm512_load_si512(tile.quants[block] + i * 64);
        }
    }
};

inline __attribute__((always_inline)) __m512i four_bytes(const void* from) {   // everywhere
    int32_t four;
    std::memcpy(&four, from, sizeof four);
    return _mm512_set1_epi32(four);
}

// A block by some rows: as many chains of sums, so that none waits for itself. Sums of a shared scale leave it out.
template <size_t Rows, class Source, bool Shared>
inline __attribute__((always_inline)) void add_products(const __m512i (&quants)[kBlockSteps], __m512 scales, __m512 minimums,
                                                        const ActivationBlock* by, __m512* sums) {
    __m512i products[Rows];
#pragma GCC unroll 4
    for (size_t r = 0; r < Rows; ++r) {
        products[r] = Source::kMinimums == Minimums::kNone ? _mm512_set1_epi32(by[r].correction) : _mm512_setzero_si512();
    }
#pragma GCC unroll 8
    for (uint32_t i = 0; i < kBlockSteps; ++i) {
#pragma GCC unroll 4
        for (size_t r = 0; r < Rows; ++r) {
            products[r] = _mm512_dpbusd_epi32(products[r], quants[i], four_bytes(by[r].quants + i * 4));
        }
    }
#pragma GCC unroll 4
    for (size_t r = 0; r < Rows; ++r) {
        const __m512 worth = Shared ? scales : _mm512_mul_ps(scales, _mm512_set1_ps(by[r].scale));
        sums[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(products[r]), worth, sums[r]);
        if constexpr (Source::kMinimums == Minimums::kHalfs) {
            sums[r] = _mm512_fmadd_ps(minimums, _mm512_set1_ps(by[r].sum), sums[r]);
        }
    }
}

// Whole minimums of a super-block x each row's sums of quants, two blocks at a time.
template <size_t Rows, class Source>
inline __attribute__((always_inline)) void multiply_pairs(const Source& from, const ActivationBlock* by, __m512i (&products)[Rows]) {
#pragma GCC unroll 4
    for (uint32_t i = 0; i < kSuperBlocks / 2; ++i) {
        const __m512i pair = from.pair(i);
#pragma GCC unroll 16
        for (size_t r = 0; r < Rows; ++r) {
            products[r] = _mm512_dpwssd_epi32(products[r], pair, four_bytes(by[2 * i * Rows + r].quant_sums));
        }
    }
}

// A block of weights stays in registers while the rows pass. However many there are, each is summed up in the same order, so that its
// result is the same to the last bit beside any others. A scale that blocks share is multiplied by once for all of them.
template <size_t Rows, bool Shared, class Source>
void multiply_rows(Source from, const PanelProduct& product) {
    const auto mask = static_cast<__mmask16>((1u << product.outputs) - 1);
    const size_t run = Shared ? product.scale_blocks : product.blocks;
    const auto* by = reinterpret_cast<const ActivationBlock*>(product.activations);
    for (size_t block = 0; block < product.blocks; block += run) {
        const bool add = product.add || block > 0;
        const auto before = [&](size_t r) { return add ? _mm512_maskz_loadu_ps(mask, product.out + r * product.stride) : _mm512_setzero_ps(); };
        const ActivationBlock* first = by;
        __m512 sums[Rows];
#pragma GCC unroll 16
        for (size_t r = 0; r < Rows; ++r) {
            sums[r] = Shared ? _mm512_setzero_ps() : before(r);
        }
        constexpr bool kWhole = Source::kMinimums == Minimums::kWhole, kAlong = kWhole && Source::kInMemory && Rows <= 2;
        [[maybe_unused]] const Source start = from;
        [[maybe_unused]] __m512i minimums_by_sums[Rows] = {};
        for (size_t i = 0; i < run; ++i, by += Rows, from.next()) {
            __m512i quants[kBlockSteps];
            from.quants(quants);
            if constexpr (Rows > 1) {
                from.fetch_ahead();
            }
            const __m512 scales = from.scales();
            const __m512 minimums = Source::kMinimums == Minimums::kHalfs ? from.minimums() : _mm512_setzero_ps();
#pragma GCC unroll 4
            for (size_t r = 0; r + kChains <= Rows; r += kChains) {
                add_products<kChains, Source, Shared>(quants, scales, minimums, by + r, sums + r);
            }
            if constexpr (Rows % kChains > 0) {
                constexpr size_t kDone = Rows / kChains * kChains;
                add_products<Rows % kChains, Source, Shared>(quants, scales, minimums, by + kDone, sums + kDone);
            }
            if constexpr (kAlong) {   // few rows wait for memory, and it is read in order
                for (size_t r = 0; r < Rows; ++r) {
                    minimums_by_sums[r] = _mm512_dpwssd_epi32(minimums_by_sums[r], from.whole_minimums(), four_bytes(by[r].quant_sums));
                }
            }
        }
        if constexpr (kWhole && !kAlong) {   // last, when all blocks are in the first cache
            multiply_pairs(start, first, minimums_by_sums);
        }
#pragma GCC unroll 16
        for (size_t r = 0; r < Rows; ++r) {
            if constexpr (kWhole) {
                sums[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(minimums_by_sums[r]), from.units(), sums[r]);
            }
            const __m512 sum = Shared ? _mm512_fmadd_ps(sums[r], _mm512_set1_ps(first[r].scale), before(r)) : sums[r];
            _mm512_mask_storeu_ps(product.out + r * product.stride, mask, sum);
        }
    }
}

template <bool Shared, class Source, size_t... Less>
void multiply(Source from, const PanelProduct& product, std::index_sequence<Less...>) {
    static_cast<void>(((product.rows == Less + 1 ? (multiply_rows<Less + 1, Shared>(from, product), true) : false) || ...));
}

template <class Source>
void multiply(Source from, const PanelProduct& product) {
    constexpr auto kRows = std::make_index_sequence<kPanelRows>();
    if constexpr (Source::kMinimums == Minimums::kNone) {
        product.scale_blocks > 1 ? multiply<true>(from, product, kRows) : multiply<false>(from, product, kRows);
    } else {
        multiply<Source::kMinimums == Minimums::kWhole>(from, product, kRows);   // those of super-blocks
    }
}

void unpack(const Packing& packing, const char* from, size_t count, UnpackedTile& tile) {
    as_packed<Packed>(packing, from, [&]<class Blocks>(Blocks blocks) {
        for (size_t i = 0; i < count; ++i, blocks.next()) {
            __m512i quants[kBlockSteps];
            blocks.quants(quants);
#pragma GCC unroll 8
            for (uint32_t step = 0; step < kBlockSteps; ++step) {
                _mm512_store_si512(tile.quants[i] + step * 64, quants[step]);
            }
            _mm512_store_ps(tile.scales[i], blocks.scales());
            if constexpr (Blocks::kMinimums == Minimums::kHalfs) {
                _mm512_store_ps(tile.minimums[i], blocks.minimums());
            } else if (Blocks::kMinimums == Minimums::kWhole && i % 2 == 0) {
                _mm512_store_si512(tile.minimum_pairs[i / 2], blocks.pair(0));
            } else if (Blocks::kMinimums == Minimums::kWhole && i % kSuperBlocks == kSuperBlocks - 1) {
                auto behind = blocks;
                behind.next();
                _mm512_store_ps(tile.minimum_units[i / kSuperBlocks], behind.units());
            }
        }
    });
}

void multiply_packed(const Packing& packing, const char* from, const PanelProduct& product) {
    as_packed<Packed>(packing, from, [&](auto blocks) { multiply(blocks, product); });
}

void multiply_tile(const Packing& packing, const UnpackedTile& tile, const PanelProduct& product) {
    switch (packing.minimums) {
        case Minimums::kNone: multiply(Unpacked<Minimums::kNone>{tile}, product); break;
        case Minimums::kHalfs: multiply(Unpacked<Minimums::kHalfs>{tile}, product); break;
        case Minimums::kWhole: multiply(Unpacked<Minimums::kWhole>{tile}, product); break;
    }
}

}  // namespace

const Arithmetic kArithmeticAvx512{unpack, multiply_packed, multiply_tile};

}  // namespace gantry::engine::kernels
