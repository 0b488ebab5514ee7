// MindIE: a rank a card, tensors cut across ranks (worldSize).
//
// Its own rule (hiascend.com, MindIE LLM error MIE05E01000A): kv_cache = total x NPU_MEMORY_FRACTION - weights - workspace, where the
// workspace is what a prefill of maxPrefillTokens takes at warm-up; npuMemSize -1 takes all that is left. So the share that is
// asked for is what is counted here.

#include <fmt/format.h>

#include <algorithm>

#include "placement/estimates/overheads.h"
#include "placement/estimates/parallel.h"
#include "placement/estimates/sum.h"

namespace gantry::placement {
namespace {

constexpr uint64_t kBlockTokens = 128;              // cacheBlockSize
constexpr uint64_t kPrefillTokens = 8192;           // maxPrefillTokens, or the context where that is longer
constexpr uint64_t kFootprintBytes = 3ull << 30;    // of the runtime on a card: CANN, the operator library and ATB's caches
constexpr uint64_t kRankHostBytes = 4ull << 30;

}  // namespace

Estimate estimate_mindie(const ModelMeta& meta, const Shape& shape) {
    const bool devices = shape.vendor != "cpu";
    Sum sum(shape.ranks, devices);
    note_unknown(meta, sum);
    if (!devices) {
        sum.unknown("MindIE on a CPU: it needs Ascend cards");
        return sum.done(0);
    }
    const LayerKv unknowns = layer_kv(meta, {.cells = 1, .window_cells = 1, .states = 1, .type = shape.options.kv_type});
    for (const std::string& what : unknowns.unknown) {
        sum.unknown(what);
    }
    const uint64_t tokens = (shape.context_tokens + kBlockTokens - 1) / kBlockTokens * kBlockTokens;
    const KvBytes kv = kv_bytes(meta, tokens, std::max(shape.sequences, 1u), shape.options.kv_type);
    const RankShare weights = weights_of_rank(meta, shape.ranks), cells = kv_of_rank(meta, kv, shape.ranks);
    sum.each_device("weights", weights.bytes, weights.formula);
    sum.each_device("kv_cache", cells.bytes, cells.formula);
    const uint64_t prefill = std::max<uint64_t>(kPrefillTokens, tokens);
    const uint64_t inner = std::max<uint64_t>(meta.feed_forward_length, meta.embedding_length) / std::max(shape.ranks, 1u);
    sum.each_device("compute", prefill * (6 * uint64_t{meta.embedding_length} + 3 * inner) * 2,
                    fmt::format("a prefill of {} tokens x (6 x {} + 3 x {}) x 2 B", grouped(prefill), grouped(meta.embedding_length),
                                grouped(inner)));
    sum.each_device("runtime", kFootprintBytes, "CANN, operators and their caches");
    if (shape.ranks > 1) {
        sum.each_device("communication", device_overhead(shape.vendor).communication_bytes, "buffers of HCCL");
    }
    sum.memory("runtime", kRankHostBytes * std::max(shape.ranks, 1u), fmt::format("{} ranks x {}", shape.ranks, mib(kRankHostBytes)));
    return sum.done(kv_token_bytes(meta, shape.options.kv_type));
}

}  // namespace gantry::placement
