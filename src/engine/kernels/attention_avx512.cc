// Compiled for AVX-512: 32 registers of 16 floats.
#define GANTRY_ATTEND attend_avx512
namespace gantry::engine::kernels {
namespace {
constexpr unsigned kScoreCells = 16;     // accumulators of the scores
constexpr unsigned kValueQueries = 6;    // by kValueVecs: accumulators of the values
constexpr unsigned kValueVecs = 4;
}  // namespace
}  // namespace gantry::engine::kernels
#include "engine/kernels/attention_tile.inc"
