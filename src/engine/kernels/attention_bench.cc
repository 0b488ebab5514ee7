// The attention of one layer, ours and ggml's: streams with much and little in the cache, and a prompt.
#include <benchmark/benchmark.h>
#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml-cpu.h>
#include <ggml.h>

#include <cmath>

#include "engine/kernels/attention.h"

namespace gantry::engine::kernels {
namespace {

// `rows` rows, each of a sequence of its own of `length` cells (0: all of one sequence, a prompt), in a cache of `cells`.
void attention(benchmark::State& state, AttentionKernel kernel, uint32_t heads, uint32_t kv_heads, uint32_t rows, uint32_t length, uint32_t cells) {
    install_attention();
    const ggml_init_params params{.mem_size = 1 << 20, .mem_buffer = nullptr, .no_alloc = true};
    ggml_context* context = ggml_init(params);
    ggml_tensor* q = ggml_new_tensor_3d(context, GGML_TYPE_F32, 64, rows, heads);
    ggml_tensor* k = ggml_new_tensor_3d(context, GGML_TYPE_F16, 64, cells, kv_heads);
    ggml_tensor* v = ggml_new_tensor_3d(context, GGML_TYPE_F16, 64, cells, kv_heads);
    ggml_tensor* mask = ggml_new_tensor_2d(context, GGML_TYPE_F16, cells, rows);
    ggml_tensor* out = ggml_flash_attn_ext(context, q, k, v, mask, 0.125f, 0, 0);
    ggml_cgraph* graph = ggml_new_graph(context);
    ggml_build_forward_expand(graph, out);
    ggml_backend_t backend = ggml_backend_cpu_init();
    ggml_backend_buffer_t buffer = ggml_backend_alloc_ctx_tensors(context, backend);
    ggml_backend_buffer_clear(buffer, 1);
    auto* closed = static_cast<ggml_fp16_t*>(mask->data);
    std::fill_n(closed, ggml_nelements(mask), ggml_fp32_to_fp16(-INFINITY));
    for (uint32_t row = 0; row < rows; ++row) {
        for (uint32_t i = 0; i < (length ? length : row + 1); ++i) {
            closed[size_t{row} * cells + (length ? (i * rows + row) % cells : i)] = 0;
        }
    }
    ggml_backend_cpu_set_n_threads(backend, 1);
    use_attention(kernel);
    for (auto _ : state) {
        ggml_backend_graph_compute(backend, graph);
    }
    use_attention(AttentionKernel::kAvx512);
    ggml_backend_buffer_free(buffer);
    ggml_backend_free(backend);
    ggml_free(context);
}
#define CASES(name, ...)                                                                                             \
    BENCHMARK_CAPTURE(attention, name/ggml, AttentionKernel::kNone, __VA_ARGS__)->Unit(benchmark::kMicrosecond);      \
    BENCHMARK_CAPTURE(attention, name/avx2, AttentionKernel::kAvx2, __VA_ARGS__)->Unit(benchmark::kMicrosecond);      \
    BENCHMARK_CAPTURE(attention, name/avx512, AttentionKernel::kAvx512, __VA_ARGS__)->Unit(benchmark::kMicrosecond)
CASES(smollm2_1_of_400, 9, 3, 1, 400, 512);
CASES(smollm2_1_of_400_beside_8k, 9, 3, 1, 400, 8192);
CASES(smollm2_6_of_400, 9, 3, 6, 400, 2560);
CASES(qwen_6_of_400, 14, 2, 6, 400, 2560);
CASES(qwen_32_of_400, 14, 2, 32, 400, 13056);
CASES(smollm2_prompt_400, 9, 3, 400, 0, 512);
CASES(qwen_prompt_512, 14, 2, 512, 0, 512);

}  // namespace
}  // namespace gantry::engine::kernels
