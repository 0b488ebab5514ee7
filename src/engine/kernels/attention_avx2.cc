// Compiled for AVX2: 16 registers of 8 floats.
#define GANTRY_ATTEND attend_avx2
namespace gantry::engine::kernels {
namespace {
constexpr unsigned kScoreCells = 8;
constexpr unsigned kValueQueries = 3;
constexpr unsigned kValueVecs = 4;
}  // namespace
}  // namespace gantry::engine::kernels
#include "engine/kernels/attention_tile.inc"
