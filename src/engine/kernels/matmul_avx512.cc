// The kernel for AVX-512 with VNNI; compiled for such a CPU, so nothing here may run on another.
#include <immintrin.h>

#include <cstring>
#include <utility>

#include "engine/kernels/matmul_tile.h"

namespace gantry::engine::kernels {
namespace {

constexpr size_t kChains = 4;      // of sums at a time

inline __attribute__((always_inline)) __m512 load_halfs(const char* from) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}

// The curve's numbers, all positive: what its offset takes away again.
inline __attribute__((always_inline)) __m512i curve() {
    const __m128i numbers = _mm_loadu_si128(reinterpret_cast<const __m128i*>(kCurve));
    return _mm512_broadcast_i32x4(_mm_xor_si128(numbers, _mm_set1_epi8(-128)));
}

// Blocks as they are kept in memory.
template <uint32_t Bits, bool Minimum, bool Curve>
struct Packed {
    static constexpr bool kMinimum = Minimum, kOffset = !Minimum, kPairs = false;   // a type has minimums or an offset
    static constexpr uint32_t kQuantBytes = kGroupRows * kBlockValues * Bits / 8;
    static constexpr uint32_t kBytes = kQuantBytes + kGroupRows * 2 * (Minimum ? 2 : 1);

    const char* at;

    void next() { at += kBytes; }
    void fetch_ahead() const {
#pragma GCC unroll 8
        for (uint32_t line = 0; line < kBytes; line += 64) {
            _mm_prefetch(at + kAhead + line, _MM_HINT_T0);
        }
    }
    __m512 scales() const { return load_halfs(at + kQuantBytes); }
    __m512 minimums() const { return load_halfs(at + kQuantBytes + kGroupRows * 2); }
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

// Minimums of super-blocks are in pairs: see pair_minimums().
template <bool Minimum, bool Super>
struct Unpacked {
    static constexpr bool kMinimum = Minimum && !Super, kOffset = !Minimum, kPairs = Minimum && Super;

    const UnpackedTile& tile;
    size_t block = 0;

    void next() { ++block; }
    void fetch_ahead() const {}
    __m512 scales() const { return _mm512_load_ps(tile.scales[block]); }
    __m512 minimums() const { return _mm512_load_ps(tile.minimums[block]); }
    inline __attribute__((always_inline)) void quants(__m512i (&out)[kBlockSteps]) const {
#pragma GCC unroll 8
        for (uint32_t i = 0; i < kBlockSteps; ++i) {
            out[i] = _mm512_load_si512(tile.quants[block] + i * 64);
        }
    }
};

inline __attribute__((always_inline)) __m512i four_values(const int8_t* quants) {
    int32_t four;
    std::memcpy(&four, quants, sizeof four);
    return _mm512_set1_epi32(four);
}

// A block by some rows: as many chains of sums, so that none waits for itself. Sums of a shared scale leave it out.
template <size_t Rows, class Source, bool Shared>
inline __attribute__((always_inline)) void add_products(const __m512i (&quants)[kBlockSteps], __m512 scales, __m512 minimums,
                                                        const ActivationBlock* by, __m512* sums) {
    __m512i products[Rows];
#pragma GCC unroll 4
    for (size_t r = 0; r < Rows; ++r) {
        products[r] = Source::kOffset ? _mm512_set1_epi32(by[r].correction) : _mm512_setzero_si512();
    }
#pragma GCC unroll 8
    for (uint32_t i = 0; i < kBlockSteps; ++i) {
#pragma GCC unroll 4
        for (size_t r = 0; r < Rows; ++r) {
            products[r] = _mm512_dpbusd_epi32(products[r], quants[i], four_values(by[r].quants + i * 4));
        }
    }
#pragma GCC unroll 4
    for (size_t r = 0; r < Rows; ++r) {
        const __m512 worth = Shared ? scales : _mm512_mul_ps(scales, _mm512_set1_ps(by[r].scale));
        sums[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(products[r]), worth, sums[r]);
        if constexpr (Source::kMinimum) {
            sums[r] = _mm512_fmadd_ps(minimums, _mm512_set1_ps(Shared ? by[r].quant_sum : by[r].sum), sums[r]);
        }
    }
}

// What the minimums of a super-block add to a row's sum, its scale left out: sums of integers, two blocks at a time.
inline __attribute__((always_inline)) __m512 of_pairs(const UnpackedTile& tile, size_t block, const ActivationBlock* by, size_t stride) {
    __m512i sum = _mm512_setzero_si512();
#pragma GCC unroll 4
    for (size_t i = 0; i < kSuperBlocks; i += 2) {
        int32_t two;
        std::memcpy(&two, by[i * stride].quant_sums, sizeof two);
        sum = _mm512_dpwssd_epi32(sum, _mm512_load_si512(tile.minimum_pairs[(block + i) / 2]), _mm512_set1_epi32(two));
    }
    return _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_load_ps(tile.minimum_units[block / kSuperBlocks]));
}

// A block of weights stays in registers while the rows pass. However many there are, each is summed up in the same order, so that its
// result is the same to the last bit beside any others of a panel. A scale that blocks share is multiplied by once for all of them.
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
            if constexpr (Source::kPairs) {
                sums[r] = of_pairs(from.tile, from.block, by + r, Rows);
            } else {
                sums[r] = Shared ? _mm512_setzero_ps() : before(r);
            }
        }
        for (size_t i = 0; i < run; ++i, by += Rows, from.next()) {
            __m512i quants[kBlockSteps];
            from.quants(quants);
            if constexpr (Rows > 1) {
                from.fetch_ahead();
            }
            const __m512 scales = from.scales();
            const __m512 minimums = Source::kMinimum ? from.minimums() : _mm512_setzero_ps();
#pragma GCC unroll 4
            for (size_t r = 0; r + kChains <= Rows; r += kChains) {
                add_products<kChains, Source, Shared>(quants, scales, minimums, by + r, sums + r);
            }
            if constexpr (Rows % kChains > 0) {
                constexpr size_t kDone = Rows / kChains * kChains;
                add_products<Rows % kChains, Source, Shared>(quants, scales, minimums, by + kDone, sums + kDone);
            }
        }
#pragma GCC unroll 16
        for (size_t r = 0; r < Rows; ++r) {
            const __m512 sum = Shared ? _mm512_fmadd_ps(sums[r], _mm512_set1_ps(first[r].scale), before(r)) : sums[r];
            _mm512_mask_storeu_ps(product.out + r * product.stride, mask, sum);
        }
    }
}

template <bool Shared, class Source, size_t... Less>
void multiply(Source from, const PanelProduct& product, std::index_sequence<Less...>) {
    static_cast<void>(((product.rows == Less + 1 ? (multiply_rows<Less + 1, Shared>(from, product), true) : false) || ...));
}

constexpr auto kRows = std::make_index_sequence<kPanelRows>();

// The minimums of a super-block's blocks as whole numbers of a unit. One that is no number makes the unit none.
void pair_minimums(UnpackedTile& tile, size_t first) {
    __m512 largest = _mm512_setzero_ps(), nothing = _mm512_setzero_ps();
    for (size_t i = first; i < first + kSuperBlocks; ++i) {
        const __m512 minimums = _mm512_load_ps(tile.minimums[i]);
        largest = _mm512_max_ps(largest, _mm512_abs_ps(minimums));
        nothing = _mm512_fmadd_ps(minimums, _mm512_setzero_ps(), nothing);
    }
    const __m512 most = _mm512_set1_ps(32767);
    const __m512 inverse = _mm512_maskz_div_ps(_mm512_cmp_ps_mask(largest, _mm512_setzero_ps(), _CMP_GT_OQ), most, largest);
    _mm512_store_ps(tile.minimum_units[first / kSuperBlocks], _mm512_add_ps(_mm512_div_ps(largest, most), nothing));
    const auto in_units = [&](size_t i) { return _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_load_ps(tile.minimums[i]), inverse)); };
    for (size_t i = first; i < first + kSuperBlocks; i += 2) {
        const __m512i two = _mm512_mask_blend_epi16(0xAAAAAAAA, in_units(i), _mm512_slli_epi32(in_units(i + 1), 16));
        _mm512_store_si512(tile.minimum_pairs[i / 2], two);
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
            if constexpr (Blocks::kMinimum) {
                _mm512_store_ps(tile.minimums[i], blocks.minimums());
            }
        }
    });
    for (size_t i = 0; packing.has_minimum && packing.scale_blocks > 1 && i < count; i += kSuperBlocks) {
        pair_minimums(tile, i);
    }
}

void multiply_packed(const Packing& packing, const char* from, const PanelProduct& product) {
    as_packed<Packed>(packing, from, [&](auto blocks) {
        product.scale_blocks > 1 ? multiply<true>(blocks, product, kRows) : multiply<false>(blocks, product, kRows);
    });
}

void multiply_tile(const Packing& packing, const UnpackedTile& tile, const PanelProduct& product) {
    if (packing.scale_blocks > 1) {
        if (packing.has_minimum) return multiply<true>(Unpacked<true, true>{tile}, product, kRows);
        return multiply<true>(Unpacked<false, true>{tile}, product, kRows);
    }
    if (packing.has_minimum) return multiply<false>(Unpacked<true, false>{tile}, product, kRows);
    multiply<false>(Unpacked<false, false>{tile}, product, kRows);
}

}  // namespace

const Arithmetic kArithmeticAvx512{unpack, multiply_packed, multiply_tile};

}  // namespace gantry::engine::kernels
