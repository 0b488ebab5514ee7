#include "engine/llama_context_plan.h"

#include <fmt/format.h>
#include <ggml-cpu.h>

#include <algorithm>

#include "base/platform/memory.h"
#include "engine/kernels/attention.h"
#include "engine/llama_model_file.h"

namespace gantry::engine {
namespace {

constexpr uint32_t kSequencesDefault = 64;
constexpr uint32_t kSequencesMax = 256;      // LLAMA_MAX_SEQ, compiled into llama.cpp
constexpr uint32_t kBatchRowsDefault = 512;
constexpr uint32_t kContextMin = 256;        // llama.cpp pads contexts to this
constexpr uint64_t kReserveBytes = 256ull << 20;   // for compute buffers and the rest of the process
// Of attention's scores without flash attention; what is more would be read from memory again, not from a cache. Steps of fewer rows than
// these are too dear, whatever the scores take.
constexpr uint64_t kScoreBytes = 32ull << 20;
constexpr uint32_t kScoreRowsMin = 32;
// Rows with logits beyond one a running sequence: several samples of one prompt, and drafts.
constexpr uint32_t kExtraLogitRows = 64;
constexpr uint64_t kExtraLogitBytes = 64ull << 20;

// Heads of the model and what one cell of one of its key-value heads holds.
struct HeadSizes {
    uint64_t layers, heads, heads_kv, key_length, value_length;
};

HeadSizes head_sizes(const llama_model* model) {
    const int64_t heads = std::max(1, llama_model_n_head(model));
    const int64_t head_size = std::max(1, llama_model_n_embd(model)) / heads;
    return {.layers = static_cast<uint64_t>(llama_model_n_layer(model)),
            .heads = static_cast<uint64_t>(heads),
            .heads_kv = static_cast<uint64_t>(std::max(1, llama_model_n_head_kv(model))),
            .key_length = static_cast<uint64_t>(llama_meta_number(model, ".attention.key_length", head_size)),
            .value_length = static_cast<uint64_t>(llama_meta_number(model, ".attention.value_length", head_size))};
}

ggml_type ggml_type_of(KvType type) { return type == KvType::kQ8 ? GGML_TYPE_Q8_0 : GGML_TYPE_F16; }

// Bytes that one cell takes: key and value of each layer. An upper bound for models with windows or state layers.
uint64_t cell_bytes(const HeadSizes& sizes, ggml_type type) {
    const uint64_t values = sizes.layers * sizes.heads_kv * (sizes.key_length + sizes.value_length);
    return values * ggml_type_size(type) / static_cast<uint64_t>(ggml_blck_size(type));
}

// Without flash attention a step holds a score for each of its rows, heads and cells in use, at 4 bytes: as many rows as kScoreBytes have
// room for when all cells are in use. So what a step takes does not depend on how many rows this machine computes in the time of a step,
// and placement can know it (placement/estimates/llama_cpp.cc).
uint32_t rows_with_scores(uint32_t rows, uint64_t heads, uint64_t cells, uint32_t running) {
    const uint64_t within = kScoreBytes / (4 * heads * cells);
    return static_cast<uint32_t>(std::min<uint64_t>(rows, std::max<uint64_t>({within, kScoreRowsMin, running})));
}

// The context by default. With M the memory available once the weights are loaded, R a reserve for compute buffers and B the
// bytes of a cell, which are its key and value and, without flash attention, its column in the scores of the fewest rows: 4
// bytes a row and head: n = min(trained, (M - R) / (2 B)). So the cells of two full sequences would fit; half of that is taken, and
// the other half stays for the rest of the machine. All sequences share the n cells, and one may use all of them.
Result<uint32_t> choose_context(uint64_t trained, uint32_t wanted, uint64_t bytes) {
    const uint64_t available = platform::memory_figures().available_bytes;
    const uint64_t usable = available - std::min(available, kReserveBytes);
    const uint64_t cells = wanted > 0 ? wanted : std::min(trained, usable / (2 * bytes));
    if (cells * bytes > usable || cells < std::min<uint64_t>(kContextMin, wanted > 0 ? wanted : kContextMin)) {
        return unavailable(fmt::format("not enough memory for a context of {} tokens: it takes {} MiB, and {} MiB are available; "
                                       "choose a smaller context or stop another model",
                                       std::max<uint64_t>(cells, kContextMin),
                                       (std::max<uint64_t>(cells, kContextMin) * bytes) >> 20, usable >> 20),
                           "out_of_memory");
    }
    return static_cast<uint32_t>((std::min<uint64_t>(cells, 1u << 30) + kContextMin - 1) / kContextMin * kContextMin);
}

// Quantised values can only be read by llama.cpp's flash attention. Where nobody chooses it is on with our kernel, under which a row
// costs what its own sequence holds (docs/adr/0008-own-attention.md); with ggml's own, where the matrix unit does not make up for its
// lack (docs/adr/0007-flash-attention.md).
Result<bool> choose_flash_attention(const LlamaOptions& options) {
    const bool ours = kernels::install_attention() != kernels::AttentionKernel::kNone;
    const bool quantised = options.kv_type != KvType::kF16;
    if (quantised && options.flash_attention == FlashAttention::kOff) {
        return invalid_argument("a KV cache of q8_0 needs flash attention: leave it on, or use f16", "kv_type");
    }
    if (options.flash_attention == FlashAttention::kAuto) {
        return quantised || ours || ggml_cpu_has_amx_int8() == 0;
    }
    return options.flash_attention == FlashAttention::kOn;
}

}  // namespace

Result<ContextPlan> plan_context(const llama_model* model, const LlamaOptions& options) {
    const Result<bool> flash = choose_flash_attention(options);
    if (!flash) {
        return flash.error();
    }
    // A state that cannot be cut needs memory for each id, so there are no more ids than running sequences.
    const bool has_state = llama_model_is_recurrent(model) || llama_model_is_hybrid(model);
    const uint32_t running = std::min(options.max_sequences ? options.max_sequences : kSequencesDefault, kSequencesMax);
    const uint32_t slots = has_state ? running : kSequencesMax;
    const uint32_t most_rows = std::max(options.batch_rows ? options.batch_rows : kBatchRowsDefault, running);
    const auto vocabulary = static_cast<uint32_t>(llama_vocab_n_tokens(llama_model_get_vocab(model)));
    const auto extra = static_cast<uint32_t>(std::min<uint64_t>(kExtraLogitRows, kExtraLogitBytes / (uint64_t{vocabulary} * 4)));

    const HeadSizes sizes = head_sizes(model);
    const ggml_type type = ggml_type_of(options.kv_type);
    const uint64_t score_bytes = *flash ? 0 : std::min(most_rows, std::max(kScoreRowsMin, running)) * sizes.heads * 4;
    const auto trained = static_cast<uint64_t>(std::max<int32_t>(llama_model_n_ctx_train(model), kContextMin));
    const Result<uint32_t> cells = choose_context(trained, options.context_tokens, cell_bytes(sizes, type) + score_bytes);
    if (!cells) {
        return cells.error();
    }
    const uint32_t rows = *flash ? most_rows : rows_with_scores(most_rows, sizes.heads, *cells, running);
    const uint32_t logit_rows = std::min(rows, running + extra);

    ContextPlan plan{.params = llama_context_default_params(), .capacity = {}};
    plan.params.n_ctx = *cells;
    plan.params.n_batch = rows;
    plan.params.n_ubatch = rows;   // one piece a forward: an aborted one leaves nothing behind
    plan.params.n_seq_max = slots;
    plan.params.n_outputs_max = std::max(logit_rows, slots);   // llama.cpp wants one a sequence id; not one a row of the batch
    plan.params.kv_unified = true;   // slots share all cells, and prefixes
    plan.params.swa_full = true;     // sequences can be cut and shared at any position
    plan.params.type_k = type;
    plan.params.type_v = type;
    plan.params.flash_attn_type = *flash ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
    plan.params.no_perf = true;
    plan.capacity = RunnerCapacity{.context_tokens = *cells,
                                   .slots = slots,
                                   .batch_rows = rows,
                                   .vocabulary = vocabulary,
                                   .running = running,
                                   .logit_rows = logit_rows,
                                   .sharing = has_state ? PrefixSharing::kWhole : PrefixSharing::kAny,
                                   .cell_bytes = cell_bytes(sizes, type)};
    return plan;
}

}  // namespace gantry::engine
