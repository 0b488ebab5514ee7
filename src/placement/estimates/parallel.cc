#include "placement/estimates/parallel.h"

#include <fmt/format.h>

#include <algorithm>

namespace gantry::placement {
namespace {

constexpr uint64_t kValueBytes = 2;   // of what is not quantized

// The files do not say how many values a query's own latent has (q_a_proj); in all published models with one it is three times the
// latent of keys and values: DeepSeek V2, V3, R1 and Kimi K2 1,536 and 512, MiniCPM3 768 and 256.
constexpr uint64_t kQueryLatents = 3;

// What every rank has whole (ReplicatedLinear in vllm/model_executor/models/deepseek_v2.py and the like): norms of each layer, routers to
// experts, and the projections down to latents, which are quantized as the rest is.
uint64_t replicated_bytes(const ModelMeta& meta) {
    const uint64_t norms = (2 * uint64_t{meta.layers} + 1) * meta.embedding_length;
    const uint64_t routers = product({meta.layers, meta.experts, meta.embedding_length});
    const auto latents = static_cast<uint64_t>(std::count(meta.layer_memory.begin(), meta.layer_memory.end(), 'l'));
    const uint64_t down = product({latents, meta.embedding_length, (1 + kQueryLatents) * meta.kv_lora_rank + meta.rope_head_length});
    const double stored = meta.parameter_count == 0 ? kValueBytes : static_cast<double>(meta.file_bytes) / static_cast<double>(meta.parameter_count);
    const auto down_bytes = static_cast<uint64_t>(static_cast<double>(down) * std::min<double>(stored, kValueBytes));
    return total_of({product({norms, kValueBytes}), product({routers, kValueBytes}), down_bytes});
}

// Projections to KV heads that several ranks hold, since there are fewer heads than ranks: of one rank.
uint64_t doubled_heads_bytes(const ModelMeta& meta, uint32_t ranks) {
    if (meta.heads_kv == 0 || ranks <= meta.heads_kv) {
        return 0;
    }
    const uint64_t head = uint64_t{meta.layers} * meta.embedding_length * (key_length(meta) + value_length(meta)) * kValueBytes;
    return head - head * meta.heads_kv / ranks;
}

}  // namespace

RankShare weights_of_rank(const ModelMeta& meta, uint32_t ranks) {
    const uint64_t each = std::max(ranks, 1u);
    if (each == 1) {
        return {meta.file_bytes, "the files"};
    }
    const uint64_t whole = std::min(meta.file_bytes, meta.weights.other + replicated_bytes(meta));
    const uint64_t doubled = doubled_heads_bytes(meta, ranks);
    std::string formula = fmt::format("{} / {} + {} on every rank", mib(meta.file_bytes - whole), each, mib(whole));
    if (doubled > 0) {
        formula += fmt::format(" + {} of KV heads that ranks share", mib(doubled));
    }
    return {(meta.file_bytes - whole + each - 1) / each + whole + doubled, formula};
}

RankShare kv_of_rank(const ModelMeta& meta, const KvBytes& kv, uint32_t ranks) {
    const uint64_t each = std::max(ranks, 1u);
    if (each == 1) {
        return {kv.total, kv.formula};
    }
    if (meta.layer_memory.find('l') != std::string::npos) {
        return {kv.total, kv.formula + ", whole on every rank"};
    }
    const uint64_t parts = meta.heads_kv > 0 ? std::min<uint64_t>(each, meta.heads_kv) : each;
    return {(kv.total + parts - 1) / parts, fmt::format("({}) / {}{}", kv.formula, parts, parts < each ? ", the number of KV heads" : "")};
}

namespace {

// Layers are divided as evenly as they can be: the first stages have one more.
uint32_t layers_of_stage(const ModelMeta& meta, uint32_t stages) { return (meta.layers + stages - 1) / stages; }

}  // namespace

RankShare weights_of_stage(const ModelMeta& meta, uint32_t ranks, uint32_t stages) {
    const RankShare whole = weights_of_rank(meta, ranks);
    if (stages <= 1 || meta.layers == 0) {
        return whole;
    }
    // Embeddings are on the first stage and the head on the last; where there is no head of its own the embeddings are there again.
    const uint64_t each = std::max(ranks, 1u);
    const uint64_t head = meta.weights.output > meta.weights.embedding / 8 ? meta.weights.output : meta.weights.embedding;
    const uint64_t end = std::max(meta.weights.embedding, head) / each;
    const uint64_t ends = (meta.weights.embedding + meta.weights.output) / each;
    const uint64_t layers = whole.bytes - std::min(whole.bytes, ends);
    const uint32_t own = layers_of_stage(meta, stages);
    return {layers / meta.layers * own + end, fmt::format("{} of {} layers of ({}), and embeddings or the head", own, meta.layers, whole.formula)};
}

RankShare kv_of_stage(const ModelMeta& meta, const KvBytes& kv, uint32_t ranks, uint32_t stages) {
    const RankShare whole = kv_of_rank(meta, kv, ranks);
    if (stages <= 1 || meta.layers == 0) {
        return whole;
    }
    const uint32_t own = layers_of_stage(meta, stages);
    return {(whole.bytes + meta.layers - 1) / meta.layers * own, fmt::format("{}, of {} of {} layers", whole.formula, own, meta.layers)};
}

}  // namespace gantry::placement
