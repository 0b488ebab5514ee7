#include "engine/llama_runner.h"

#include <fmt/format.h>
#include <ggml-cpu.h>
#include <llama.h>

#include <algorithm>

#include "base/assert.h"
#include "base/platform/memory.h"
#include "engine/llama_model_file.h"

namespace gantry::engine {
namespace {

constexpr uint32_t kSequencesDefault = 64;
constexpr uint32_t kSequencesMax = 256;      // LLAMA_MAX_SEQ, compiled into llama.cpp
constexpr uint32_t kBatchRowsDefault = 512;
constexpr uint32_t kContextMin = 256;        // llama.cpp pads contexts to this
constexpr uint64_t kReserveBytes = 256ull << 20;   // for compute buffers and the rest of the process

// --- sizes -------------------------------------------------------------------------------------------------------------

// Bytes that one cell takes: key and value of each layer, in 16 bits. An upper bound for models with windows or state layers.
uint64_t cell_bytes(const llama_model* model) {
    const int64_t heads = std::max(1, llama_model_n_head(model));
    const int64_t head_size = std::max(1, llama_model_n_embd(model)) / heads;
    const int64_t key_length = llama_meta_number(model, ".attention.key_length", head_size);
    const int64_t value_length = llama_meta_number(model, ".attention.value_length", head_size);
    const int64_t heads_kv = std::max(1, llama_model_n_head_kv(model));
    return static_cast<uint64_t>(llama_model_n_layer(model)) * static_cast<uint64_t>(heads_kv) *
           static_cast<uint64_t>(key_length + value_length) * 2;
}

// The context by default. With M the memory available once the weights are loaded, R a reserve for compute buffers and B the
// bytes of a cell, which are its key and value and its column in the scores of a batch of `rows`: 4 bytes a row and head:
// n = min(trained, (M - R) / (2 B)). So the cells of two full sequences would fit; half of that is taken, and
// the other half stays for the rest of the machine. All sequences share the n cells, and one may use all of them.
Result<uint32_t> choose_context(const llama_model* model, uint32_t wanted, uint32_t rows) {
    const auto trained = static_cast<uint64_t>(std::max<int32_t>(llama_model_n_ctx_train(model), kContextMin));
    const uint64_t available = platform::memory_figures().available_bytes;
    const uint64_t usable = available - std::min(available, kReserveBytes);
    const uint64_t score_bytes = uint64_t{rows} * static_cast<uint64_t>(std::max(1, llama_model_n_head(model))) * 4;
    const uint64_t bytes = cell_bytes(model) + score_bytes;
    const uint64_t cells = wanted > 0 ? wanted : std::min(trained, usable / (2 * bytes));
    if (cells * bytes > usable || cells < std::min<uint64_t>(kContextMin, wanted > 0 ? wanted : kContextMin)) {
        return unavailable(fmt::format("not enough memory for a context of {} tokens: it takes {} MiB, and {} MiB are available; "
                                       "choose a smaller context or stop another model",
                                       std::max<uint64_t>(cells, kContextMin),
                                       (std::max<uint64_t>(cells, kContextMin) * bytes) >> 20, usable >> 20),
                           "out_of_memory");
    }
    return static_cast<uint32_t>(std::min<uint64_t>(cells, 1u << 30));
}

// --- the runner --------------------------------------------------------------------------------------------------------

class LibllamaRunner final : public LlamaRunner {
public:
    LibllamaRunner(LlamaModelPtr model, LlamaContextPtr context, LlamaThreadsPtr threads, const RunnerCapacity& capacity)
        : model_(std::move(model)),
          threads_(std::move(threads)),
          context_(std::move(context)),
          capacity_(capacity),
          memory_(llama_get_memory(context_.get())),
          vocab_(llama_model_get_vocab(model_.get())),
          partial_(!llama_model_is_recurrent(model_.get()) && !llama_model_is_hybrid(model_.get())),
          batch_(llama_batch_init(static_cast<int32_t>(capacity.batch_rows), 0, 1)) {
        // A state that cannot go back a few tokens cannot be restored after an abort, so there it is never begun.
        if (partial_) {
            llama_set_abort_callback(
                context_.get(), [](void* flag) { return static_cast<std::atomic<bool>*>(flag)->load(std::memory_order_relaxed); },
                &abort_flag_);
        }
        if (threads_) {
            llama_attach_threadpool(context_.get(), threads_.get(), threads_.get());
        }
    }
    ~LibllamaRunner() override {
        llama_batch_free(batch_);
        context_.reset();   // before the threads it is attached to and the model it reads
    }
    LibllamaRunner(const LibllamaRunner&) = delete;
    LibllamaRunner& operator=(const LibllamaRunner&) = delete;

    RunnerCapacity capacity() const override { return capacity_; }
    bool is_end_of_generation(TokenId token) const override { return llama_vocab_is_eog(vocab_, token); }

    Result<ForwardOutcome> forward(const Batch& batch) override {
        abort_flag_ = false;
        GANTRY_ASSERT(!batch.empty() && batch.size() <= capacity_.batch_rows, "a batch of 1 to batch_rows rows");
        batch_.n_tokens = static_cast<int32_t>(batch.size());
        for (size_t i = 0; i < batch.size(); ++i) {
            batch_.token[i] = batch[i].token;
            batch_.pos[i] = batch[i].position;
            batch_.n_seq_id[i] = 1;
            batch_.seq_id[i][0] = batch[i].slot;
            batch_.logits[i] = batch[i].wants_logits ? 1 : 0;
        }
        mute_llama_log_when(&abort_flag_);
        const int32_t status = llama_decode(context_.get(), batch_);
        mute_llama_log_when(nullptr);
        if (status == 0) {
            return ForwardOutcome::kDone;
        }
        // On anything else some of the rows may be in the cache: nothing (1), finished pieces (2), anything (< 0).
        if (!restore(batch)) {
            return internal_error("the model's memory could not be brought back to a known state after a failed step");
        }
        if (status == 1) {
            return ForwardOutcome::kNoSpace;
        }
        if (status == 2) {
            return ForwardOutcome::kAborted;
        }
        if (status == -1) {
            return Error{ErrorCode::kInvalidArgument, "the model refused this input", {}, {}};
        }
        return internal_error(fmt::format("the model library failed in a step (status {})", status));
    }

    std::span<const float> logits(size_t row) const override {
        const float* values = llama_get_logits_ith(context_.get(), static_cast<int32_t>(row));
        GANTRY_ASSERT(values != nullptr, "logits of a row that wanted none");
        return {values, capacity_.vocabulary};
    }

    void truncate(Slot slot, int32_t from_position) override {
        const bool removed = llama_memory_seq_rm(memory_, slot, from_position, -1);
        GANTRY_ASSERT(removed, "this model's memory cannot forget a part of a sequence");
    }

    bool share_prefix(Slot from, Slot to, int32_t length) override {
        if (!partial_) {
            return false;   // recurrent state has no prefix: a copy would silently hold more than asked for
        }
        llama_memory_seq_rm(memory_, to, -1, -1);   // adding an id to a cell that has it is an error
        llama_memory_seq_cp(memory_, from, to, 0, length);
        // A sliding window may have dropped the beginning meanwhile; then there is nothing to share.
        if (llama_memory_seq_pos_min(memory_, to) == 0 && llama_memory_seq_pos_max(memory_, to) == length - 1) {
            return true;
        }
        llama_memory_seq_rm(memory_, to, -1, -1);
        return false;
    }

    std::atomic<bool>& abort_flag() override { return abort_flag_; }

    const llama_model* model() const override { return model_.get(); }
    const llama_vocab* vocab() const override { return vocab_; }
    uint32_t trained_context_tokens() const override { return static_cast<uint32_t>(llama_model_n_ctx_train(model_.get())); }
    std::string description() const override { return llama_description(model_.get()); }

private:
    // Takes the batch's rows out again and looks whether each slot ends where it did before.
    bool restore(const Batch& batch) {
        bool known = true;
        for (size_t i = 0; i < batch.size(); ++i) {
            if (i > 0 && batch[i - 1].slot == batch[i].slot) {
                continue;
            }
            const bool removed = llama_memory_seq_rm(memory_, batch[i].slot, batch[i].position, -1);
            known = known && removed && llama_memory_seq_pos_max(memory_, batch[i].slot) == batch[i].position - 1;
        }
        return known;
    }

    LlamaModelPtr model_;
    LlamaThreadsPtr threads_;
    LlamaContextPtr context_;
    const RunnerCapacity capacity_;
    llama_memory_t memory_;
    const llama_vocab* vocab_;
    const bool partial_;            // sequences can be cut and shared at any position
    llama_batch batch_;
    std::atomic<bool> abort_flag_{false};
};

}  // namespace

Result<std::unique_ptr<LlamaRunner>> LlamaRunner::load(const LlamaOptions& options) {
    Result<LlamaModelPtr> model = load_llama_model(options.model_path, options.on_progress);
    if (!model) {
        return model.error();
    }
    return create(std::move(model).value(), options);
}

Result<std::unique_ptr<LlamaRunner>> LlamaRunner::create(LlamaModelPtr model, const LlamaOptions& options) {
    if (!generates_text(model.get())) {
        return invalid_argument("invalid model file: it is no text generation model (an encoder, or a diffusion model)", "model");
    }
    const uint32_t slots = std::min(options.max_sequences ? options.max_sequences : kSequencesDefault, kSequencesMax);
    const uint32_t rows = std::max(options.batch_rows ? options.batch_rows : kBatchRowsDefault, slots);
    const Result<uint32_t> context_tokens = choose_context(model.get(), options.context_tokens, rows);
    if (!context_tokens) {
        return context_tokens.error();
    }
    const uint32_t threads = options.threads ? options.threads : platform::usable_cores();

    llama_context_params params = llama_context_default_params();
    params.n_ctx = *context_tokens;
    params.n_batch = rows;
    params.n_ubatch = rows;         // one piece a forward: an aborted one leaves nothing behind
    params.n_seq_max = slots;
    params.n_outputs_max = slots;   // one row of logits a sequence, not one a row of the batch
    params.n_threads = static_cast<int32_t>(threads);
    params.n_threads_batch = static_cast<int32_t>(threads);
    params.kv_unified = true;       // slots share all cells, and prefixes
    params.swa_full = true;         // sequences can be cut and shared at any position
    // ggml's flash attention on a CPU makes a prompt faster and every token after it slower (SmolLM2 on a CPU with AMX, quiet: TTFT
    // 296 instead of 398 ms, TPOT 8.7 instead of 4.8 ms, six at once 36 instead of 14 ms). A chat is mostly the latter. It costs a
    // matrix of scores (choose_context counts it); the two keep V in different layouts, so one context cannot use both.
    params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
    params.no_perf = true;
    LlamaContextPtr context;
    try {
        context.reset(llama_init_from_model(model.get(), params));
    } catch (const std::exception&) {
    }
    if (!context) {
        return unavailable(fmt::format("not enough memory for a context of {} tokens: {}", *context_tokens,
                                       llama_error_reason(options.model_path)), "out_of_memory");
    }
    if (llama_get_memory(context.get()) == nullptr) {
        return invalid_argument("invalid model file: it is no text generation model (an encoder)", "model");
    }
    const RunnerCapacity capacity{
        .context_tokens = llama_n_ctx(context.get()),
        .slots = slots,
        .batch_rows = rows,
        .vocabulary = static_cast<uint32_t>(llama_vocab_n_tokens(llama_model_get_vocab(model.get())))};
    // Threads of its own: without them ggml starts and joins some for every forward.
    ggml_threadpool_params pool = ggml_threadpool_params_default(static_cast<int>(threads));
    LlamaThreadsPtr pool_threads(threads > 1 ? ggml_threadpool_new(&pool) : nullptr);
    return std::unique_ptr<LlamaRunner>(std::make_unique<LibllamaRunner>(std::move(model), std::move(context),
                                                                         std::move(pool_threads), capacity));
}

}  // namespace gantry::engine
