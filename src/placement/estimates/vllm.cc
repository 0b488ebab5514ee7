// vLLM and SGLang: each rank a process on a device of its own, tensors cut across ranks.
//
// - Weights: matrices of layers, embeddings and head are cut (vllm/model_executor/layers/linear.py, vocab_parallel_embedding.py); norms,
//   routers and the down-projections of a latent (MLA) are on every rank, and so are KV heads, again and again, where there are more ranks than
//   heads. What belongs to no layer (a vision tower) counts on every rank.
// - KV: what was asked for, in blocks of 16 tokens; a latent is whole on every rank.
// - Activations: vLLM computes a batch of max_num_batched_tokens before anything else and keeps what that took
//   (vllm/v1/worker/gpu_worker.py, determine_available_memory). The largest are the forward part of a layer, and the sampler's sort of
//   max_num_seqs rows of the vocabulary: 10 values of 4 bytes each (1.26 GiB for 256 x 128,256 whether on one rank or two,
//   github.com/vllm-project/vllm/pull/10511; 1.42 GiB for 152,064, issues/13882).
// - CPU build: weights in their dtype, KV in whole GiB (VLLM_CPU_KVCACHE_SPACE), and the processes of Python.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "backends/backends.h"
#include "backends/flags.h"
#include "placement/estimates/overheads.h"
#include "placement/estimates/parallel.h"
#include "placement/estimates/sum.h"

namespace gantry::placement {
namespace {

constexpr uint64_t kGiB = 1ull << 30;
constexpr uint64_t kBlockTokens = 16;
constexpr uint64_t kBatchTokens = 8192, kBatchTokensCpu = 2048;   // vllm/engine/arg_utils.py, the largest default of a server
constexpr uint64_t kSamplerValueBytes = 40;
constexpr double kRoom = 0.02;   // of a share: what the profile of another run may have more
// The rest of the 7.5 GB that 0.32.0's three processes took on a CPU with Qwen2.5-Coder-0.5B in bfloat16 and 2 GiB of KV (one run).
constexpr uint64_t kCpuProcessesBytes = 3160ull << 20;
// Of the machine's memory with devices: from that run, the server's process and one for each rank. Nobody publishes them.
constexpr uint64_t kRankHostBytes = 2500ull << 20, kServerHostBytes = 1500ull << 20;

uint64_t padded(uint64_t tokens) { return (tokens + kBlockTokens - 1) / kBlockTokens * kBlockTokens; }

// GGUF is dequantized where the CPU build loads it; otherwise weights stay as the files have them.
uint64_t loaded_bytes(const ModelMeta& meta, const Shape& shape) {
    return meta.format == "gguf" && shape.vendor == "cpu" ? meta.parameter_count * 2 : meta.file_bytes;
}

uint32_t ranks_of_stage(const Shape& shape) { return shape.ranks / std::max(shape.stages, 1u); }

struct Activations {
    uint64_t bytes = 0;
    std::string formula;
};

// Tokens that are computed at once. SGLang's -1: a prompt is never cut.
uint64_t batch_tokens(const Shape& shape) {
    const bool sglang = shape.backend == BackendKind::kSglang;
    return backends::flag_number(shape.options, {sglang ? "--chunked-prefill-size" : "--max-num-batched-tokens"},
                       shape.vendor == "cpu" ? kBatchTokensCpu : kBatchTokens, std::max<uint64_t>(shape.context_tokens, kBatchTokens));
}

Activations activations(const ModelMeta& meta, const Shape& shape) {
    const uint64_t tokens = batch_tokens(shape);
    const uint64_t sequences = shape.options.max_sequences ? shape.options.max_sequences : backends::vllm_sequences(shape.vendor);
    const uint64_t inner = std::max<uint64_t>(meta.feed_forward_length, meta.embedding_length) / std::max(ranks_of_stage(shape), 1u);
    const uint64_t forward = product({tokens, 6 * uint64_t{meta.embedding_length} + 3 * inner, 2});
    const uint64_t sampler = product({sequences, meta.vocabulary, kSamplerValueBytes});
    return {std::max(forward, sampler),
            fmt::format("the larger of {} tokens x (6 x {} + 3 x {}) x 2 B and the sampler's {} sequences x {} x {} B", grouped(tokens),
                        grouped(meta.embedding_length), grouped(inner), sequences, grouped(meta.vocabulary), kSamplerValueBytes)};
}

void on_cpu(const ModelMeta& meta, const Shape& shape, const KvBytes& kv, Sum& sum) {
    sum.memory("weights", loaded_bytes(meta, shape),
               meta.format == "gguf" ? fmt::format("{} parameters x 2 B", grouped(meta.parameter_count)) : "the files");
    sum.memory("kv_cache", (kv.total + kGiB - 1) / kGiB * kGiB, kv.formula + ", rounded up to GiB");
    const Activations compute = activations(meta, shape);
    sum.memory("compute", compute.bytes, compute.formula);
    sum.memory("runtime", kCpuProcessesBytes, "Python, torch and compiled kernels of three processes, measured");
}

void on_devices(const ModelMeta& meta, const Shape& shape, const KvBytes& kv, Sum& sum) {
    const DeviceOverhead& overhead = device_overhead(shape.vendor);
    const RankShare weights = weights_of_stage(meta, ranks_of_stage(shape), shape.stages);
    sum.each_device("weights", weights.bytes, weights.formula);
    const RankShare cells = kv_of_stage(meta, kv, ranks_of_stage(shape), shape.stages);
    sum.each_device("kv_cache", cells.bytes, cells.formula);
    const Activations compute = activations(meta, shape);
    sum.each_device("compute", compute.bytes, compute.formula);
    sum.each_device("runtime", overhead.context_bytes, "the driver's context and libraries");
    if (shape.ranks > 1) {
        sum.each_device("communication", overhead.communication_bytes, "buffers of NCCL, HCCL or their like");
    }
    if (!backends::flag_text(shape.options, {"--enforce-eager", "--disable-cuda-graph"})) {
        sum.each_device("graphs", overhead.graph_bytes, "captured graphs");
    }
    sum.memory("runtime", kServerHostBytes + kRankHostBytes * std::max(shape.ranks, 1u),
               fmt::format("{} + {} ranks x {}: Python and torch", mib(kServerHostBytes), shape.ranks, mib(kRankHostBytes)));
}

}  // namespace

Estimate estimate_vllm(const ModelMeta& meta, const Shape& shape) {
    const bool devices = shape.vendor != "cpu";
    Sum sum(shape.ranks, devices);
    note_unknown(meta, sum);
    const uint64_t tokens = padded(shape.context_tokens), sequences = std::max(shape.sequences, 1u);
    const LayerKv unknowns = layer_kv(meta, {.cells = 1, .window_cells = 1, .states = 1, .type = shape.options.kv_type});
    for (const std::string& what : unknowns.unknown) {
        sum.unknown(what);
    }
    if (!devices && meta.format == "gguf" && meta.parameter_count == 0) {
        sum.unknown("parameters");
    }
    // A window's layers keep, beside it, what is computed at once (vllm/v1/kv_cache_interface.py, SlidingWindowSpec).
    const KvBytes kv = kv_bytes(meta, tokens, sequences, shape.options.kv_type, batch_tokens(shape));
    devices ? on_devices(meta, shape, kv, sum) : on_cpu(meta, shape, kv, sum);
    return sum.done(kv_token_bytes(meta, shape.options.kv_type));
}

double vllm_memory_fraction(uint64_t rank_bytes, uint64_t device_total) {
    if (device_total == 0) {
        return 0;
    }
    const double share = static_cast<double>(rank_bytes) * (1 + kRoom) / static_cast<double>(device_total);
    return std::min(1.0, std::ceil(share * 100 - 1e-9) / 100);
}

}  // namespace gantry::placement
