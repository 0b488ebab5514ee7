// The kernel of BF16 weights, for AVX-512 with its dot products: pairs of values, activations rounded to BF16 as ggml's kernels do.
#include <immintrin.h>

#include <cstring>
#include <utility>

#include "engine/kernels/matmul_tile.h"

namespace gantry::engine::kernels {
namespace {

struct Halfs {
    static constexpr size_t kStepBytes = 64;
    static __m512bh load(const char* from) { return reinterpret_cast<__m512bh>(_mm512_loadu_si512(from)); }
    static __m512 add(__m512 sum, __m512bh weights, const char* activations) {
        int32_t pair;
        std::memcpy(&pair, activations, sizeof pair);
        return _mm512_dpbf16_ps(sum, weights, reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair)));
    }
};

#include "engine/kernels/matmul_halfs.inc"

}  // namespace

void round_to_bf16_avx512(const float* from, char* out) {
    const __m512bh rounded = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(from + 16), _mm512_loadu_ps(from));
    _mm512_storeu_si512(out, reinterpret_cast<__m512i>(rounded));
}

void multiply_bf16_avx512(const char* from, const PanelProduct& product) { multiply(from, product, std::make_index_sequence<kPanelRows>()); }

}  // namespace gantry::engine::kernels
