// The kernel for AVX-512 with VNNI; compiled for such a CPU, so nothing here may run on another.
#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/kernels/matmul_tile.h"

namespace gantry::engine::kernels {
namespace {

constexpr uint32_t kSteps = kBlockValues / 4;
constexpr uint32_t kRowsMax = 6;   // of a register tile: 6 x 2 sums of integers, as many of floats, and what they are made of

__m512i four_values(const int8_t* quants) {
    int32_t four = 0;
    std::memcpy(&four, quants, sizeof four);
    return _mm512_set1_epi32(four);
}

template <uint32_t Rows, bool Minimum>
void multiply_rows(const UnpackedTile& tile, size_t first, uint32_t count, const Activations& activations, size_t row, float* out, size_t stride,
                   uint32_t outputs, bool add) {
    const int8_t* quants[Rows];
    const ActivationScale* scales[Rows];
    __m512 sums[Rows][kTileGroups];
    const auto mask_of = [outputs](uint32_t group) {
        const uint32_t left = outputs > group * kGroupRows ? std::min(outputs - group * kGroupRows, kGroupRows) : 0;
        return static_cast<__mmask16>((1u << left) - 1);
    };
    for (uint32_t r = 0; r < Rows; ++r) {
        quants[r] = activations.quants + (row + r) * activations.values + first * kBlockValues;
        scales[r] = activations.scales + (row + r) * (activations.values / kBlockValues) + first;
        for (uint32_t g = 0; g < kTileGroups; ++g) {
            sums[r][g] = add ? _mm512_maskz_loadu_ps(mask_of(g), out + r * stride + g * kGroupRows) : _mm512_setzero_ps();
        }
    }
    for (uint32_t block = 0; block < count; ++block) {
        __m512i products[Rows][kTileGroups];
        for (uint32_t r = 0; r < Rows; ++r) {
            const __m512i correction = _mm512_set1_epi32(scales[r][block].correction);
            for (uint32_t g = 0; g < kTileGroups; ++g) {
                products[r][g] = correction;
            }
        }
#pragma GCC unroll 8
        for (uint32_t step = 0; step < kSteps; ++step) {
            const __m512i left = _mm512_load_si512(tile.quants[block][0] + step * 64);
            const __m512i right = _mm512_load_si512(tile.quants[block][1] + step * 64);
            for (uint32_t r = 0; r < Rows; ++r) {
                const __m512i values = four_values(quants[r] + block * kBlockValues + step * 4);
                products[r][0] = _mm512_dpbusd_epi32(products[r][0], left, values);
                products[r][1] = _mm512_dpbusd_epi32(products[r][1], right, values);
            }
        }
        for (uint32_t g = 0; g < kTileGroups; ++g) {
            const __m512 by = _mm512_load_ps(tile.scales[block][g]);
            for (uint32_t r = 0; r < Rows; ++r) {
                const __m512 scale = _mm512_mul_ps(by, _mm512_set1_ps(scales[r][block].scale));
                sums[r][g] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(products[r][g]), scale, sums[r][g]);
            }
            if constexpr (Minimum) {
                const __m512 minimum = _mm512_load_ps(tile.minimums[block][g]);
                for (uint32_t r = 0; r < Rows; ++r) {
                    sums[r][g] = _mm512_fmadd_ps(minimum, _mm512_set1_ps(scales[r][block].sum), sums[r][g]);
                }
            }
        }
    }
    for (uint32_t r = 0; r < Rows; ++r) {
        for (uint32_t g = 0; g < kTileGroups; ++g) {
            _mm512_mask_storeu_ps(out + r * stride + g * kGroupRows, mask_of(g), sums[r][g]);
        }
    }
}

template <bool Minimum>
void multiply_all(const UnpackedTile& tile, size_t first, uint32_t count, const Activations& activations, size_t rows, float* out,
                  size_t stride, uint32_t outputs, bool add) {
    size_t row = 0;
    const auto some = [&]<uint32_t Rows>() {
        multiply_rows<Rows, Minimum>(tile, first, count, activations, row, out, stride, outputs, add);
        row += Rows;
        rows -= Rows;
        out += Rows * stride;
    };
    while (rows > kRowsMax + 2 || rows == kRowsMax) {
        some.template operator()<kRowsMax>();
    }
    // No row alone at the end: 8 are 4 and 4, 7 are 4 and 3.
    while (rows > 0) {
        switch (std::min<size_t>(rows, rows > 5 ? 4 : rows)) {
            case 5: some.template operator()<5>(); break;
            case 4: some.template operator()<4>(); break;
            case 3: some.template operator()<3>(); break;
            case 2: some.template operator()<2>(); break;
            default: some.template operator()<1>(); break;
        }
    }
}

// 512 values from their bits.
void unpack_quants(uint32_t bits, const uint8_t* from, uint8_t* out) {
    if (bits == 8) {
        for (uint32_t i = 0; i < kSteps; ++i) {
            _mm512_store_si512(out + i * 64, _mm512_loadu_si512(from + i * 64));
        }
        return;
    }
    const __m512i low = _mm512_set1_epi8(15);
    const __m512i sixteen = _mm512_set1_epi8(16);
    for (uint32_t i = 0; i < kSteps / 2; ++i) {
        const __m512i both = _mm512_loadu_si512(from + i * 64);
        __m512i first = _mm512_and_si512(both, low);
        __m512i second = _mm512_and_si512(_mm512_srli_epi16(both, 4), low);
        if (bits == 5) {
            uint64_t fifth[2];
            std::memcpy(&fifth[0], from + 256 + i * 8, 8);
            std::memcpy(&fifth[1], from + 256 + (i + kSteps / 2) * 8, 8);
            first = _mm512_mask_add_epi8(first, fifth[0], first, sixteen);
            second = _mm512_mask_add_epi8(second, fifth[1], second, sixteen);
        }
        _mm512_store_si512(out + i * 64, first);
        _mm512_store_si512(out + (i + kSteps / 2) * 64, second);
    }
}

__m512 load_halfs(const char* from) { return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from))); }

// A group's block by a row's: two chains of sums, so that one does not wait for the other.
template <uint32_t Bits>
__m512i multiply_block(const uint8_t* from, const int8_t* quants, int32_t correction) {
    __m512i even = _mm512_set1_epi32(correction);
    __m512i odd = _mm512_setzero_si512();
    const __m512i low = _mm512_set1_epi8(15);
    const __m512i sixteen = _mm512_set1_epi8(16);
#pragma GCC unroll 4
    for (uint32_t i = 0; i < kSteps / 2; ++i) {
        __m512i first, second;
        if constexpr (Bits == 8) {
            first = _mm512_loadu_si512(from + i * 64);
            second = _mm512_loadu_si512(from + (i + kSteps / 2) * 64);
        } else {
            const __m512i both = _mm512_loadu_si512(from + i * 64);
            first = _mm512_and_si512(both, low);
            second = _mm512_and_si512(_mm512_srli_epi16(both, 4), low);
        }
        if constexpr (Bits == 5) {
            uint64_t fifth[2];
            std::memcpy(&fifth[0], from + 256 + i * 8, 8);
            std::memcpy(&fifth[1], from + 256 + (i + kSteps / 2) * 8, 8);
            first = _mm512_mask_add_epi8(first, fifth[0], first, sixteen);
            second = _mm512_mask_add_epi8(second, fifth[1], second, sixteen);
        }
        even = _mm512_dpbusd_epi32(even, first, four_values(quants + i * 4));
        odd = _mm512_dpbusd_epi32(odd, second, four_values(quants + (i + kSteps / 2) * 4));
    }
    return _mm512_add_epi32(even, odd);
}

// One group after the other: the processor fetches a single stream ahead best.
template <uint32_t Bits, bool Minimum>
void multiply_one(const char* from, const Packing& packing, size_t blocks, const Activations& activations, float* out, uint32_t outputs) {
    __m512 sum = _mm512_setzero_ps();
    for (size_t block = 0; block < blocks; ++block, from += packing.block_bytes()) {
        const ActivationScale& by = activations.scales[block];
        const char* scales = from + packing.quant_bytes();
        const __m512i product =
            multiply_block<Bits>(reinterpret_cast<const uint8_t*>(from), activations.quants + block * kBlockValues, by.correction);
        sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(product), _mm512_mul_ps(load_halfs(scales), _mm512_set1_ps(by.scale)), sum);
        if constexpr (Minimum) {
            sum = _mm512_fmadd_ps(load_halfs(scales + packing.scale_bytes()), _mm512_set1_ps(by.sum), sum);
        }
    }
    _mm512_mask_storeu_ps(out, static_cast<__mmask16>((1u << outputs) - 1), sum);
}

}  // namespace

void quantise_avx512(const float* from, size_t values, int32_t offset, int8_t* quants, ActivationScale* scales) {
    for (size_t block = 0; block < values / kBlockValues; ++block) {
        const __m512 first = _mm512_loadu_ps(from + block * kBlockValues);
        const __m512 second = _mm512_loadu_ps(from + block * kBlockValues + 16);
        const float largest = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(first), _mm512_abs_ps(second)));
        const float scale = largest / 127;
        const __m512 by = _mm512_set1_ps(largest > 0 ? 127 / largest : 0);
        const __m512i a = _mm512_cvtps_epi32(_mm512_mul_ps(first, by));
        const __m512i b = _mm512_cvtps_epi32(_mm512_mul_ps(second, by));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(quants + block * kBlockValues), _mm512_cvtsepi32_epi8(a));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(quants + block * kBlockValues + 16), _mm512_cvtsepi32_epi8(b));
        const int32_t sum = _mm512_reduce_add_epi32(_mm512_add_epi32(a, b));
        scales[block] = {scale, -offset * sum, scale * static_cast<float>(sum)};
    }
}

void unpack_avx512(const Packing& packing, const char* const groups[kTileGroups], size_t first, uint32_t count, UnpackedTile& tile) {
    for (uint32_t g = 0; g < kTileGroups; ++g) {
        if (groups[g] == nullptr) {
            continue;
        }
        const char* from = groups[g] + first * packing.block_bytes();
        for (uint32_t i = 0; i < count; ++i, from += packing.block_bytes()) {
            const char* scales = from + packing.quant_bytes();
            unpack_quants(packing.bits, reinterpret_cast<const uint8_t*>(from), tile.quants[i][g]);
            _mm512_store_ps(tile.scales[i][g], load_halfs(scales));
            if (packing.has_minimum) {
                _mm512_store_ps(tile.minimums[i][g], load_halfs(scales + packing.scale_bytes()));
            }
        }
    }
}

void multiply_avx512(const Packing& packing, const UnpackedTile& tile, size_t first, uint32_t count, const Activations& activations,
                     size_t rows, float* out, size_t stride, uint32_t outputs, bool add) {
    packing.has_minimum ? multiply_all<true>(tile, first, count, activations, rows, out, stride, outputs, add)
                        : multiply_all<false>(tile, first, count, activations, rows, out, stride, outputs, add);
}

void multiply_one_avx512(const Packing& packing, const char* const groups[kTileGroups], size_t blocks, const Activations& activations, float* out,
                         uint32_t outputs) {
    for (uint32_t g = 0; g < kTileGroups && groups[g] != nullptr; ++g, out += kGroupRows) {
        const uint32_t used = std::min(outputs - g * kGroupRows, kGroupRows);
        switch (packing.bits * 2 + packing.has_minimum) {
            case 8: multiply_one<4, false>(groups[g], packing, blocks, activations, out, used); break;
            case 9: multiply_one<4, true>(groups[g], packing, blocks, activations, out, used); break;
            case 10: multiply_one<5, false>(groups[g], packing, blocks, activations, out, used); break;
            case 11: multiply_one<5, true>(groups[g], packing, blocks, activations, out, used); break;
            default: multiply_one<8, false>(groups[g], packing, blocks, activations, out, used); break;
        }
    }
}

}  // namespace gantry::engine::kernels
