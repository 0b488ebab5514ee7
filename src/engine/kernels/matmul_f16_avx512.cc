// The kernel of F16 weights: widened to 32 bits as they are read, activations as they come.
#include <immintrin.h>

#include <cstring>
#include <utility>

#include "engine/kernels/matmul_tile.h"

namespace gantry::engine::kernels {
namespace {

struct Halfs {
    static constexpr size_t kStepBytes = 32;
    static __m512 load(const char* from) { return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from))); }
    static __m512 add(__m512 sum, __m512 weights, const char* activation) {
        float one;
        std::memcpy(&one, activation, sizeof one);
        return _mm512_fmadd_ps(weights, _mm512_set1_ps(one), sum);
    }
};

#include "engine/kernels/matmul_halfs.inc"

}  // namespace

void multiply_f16_avx512(const char* from, const PanelProduct& product) { multiply(from, product, std::make_index_sequence<kPanelRows>()); }

}  // namespace gantry::engine::kernels
