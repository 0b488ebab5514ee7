#pragma once
// Attention on a CPU, in place of ggml's: a row costs what its own sequence holds, however full the cache is, and the query heads of a
// key-value head are computed together, so that keys and values are read once for all of them.
//
// It takes over ggml's FLASH_ATTN_EXT inside ggml's own threads, by a hook that ggml offers for other buffer types; llama.cpp stays
// as it is. What it does not know (quantised caches, ALiBi, soft caps, sinks) stays with ggml.
// Threads: install_attention() before any model is loaded; the rest any.

#include <cstdint>

namespace gantry::engine::kernels {

enum class AttentionKernel { kNone, kAvx2, kAvx512 };

// The best one that this CPU runs; kNone: flash attention stays ggml's.
AttentionKernel install_attention();
// Chooses another one, for tests and measurements. REQUIRES: installed, and this CPU runs it.
void use_attention(AttentionKernel kernel);

}  // namespace gantry::engine::kernels
