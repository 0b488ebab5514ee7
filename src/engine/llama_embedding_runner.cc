#include "engine/llama_embedding_runner.h"

#include <fmt/format.h>
#include <ggml-cpu.h>
#include <gguf.h>
#include <llama.h>

#include <algorithm>

#include "base/assert.h"
#include "base/platform/memory.h"

namespace gantry::engine {
namespace {

constexpr uint32_t kInputTokensMax = 8192;     // by default: attention's memory grows with the square
constexpr uint32_t kRowsDefault = 512;
constexpr uint32_t kRowsMin = 256;
constexpr uint32_t kInputsMax = 256;           // LLAMA_MAX_SEQ, compiled into llama.cpp
constexpr uint64_t kReserveBytes = 256ull << 20;

enum llama_pooling_type in_llama(Pooling pooling) {
    switch (pooling) {
        case Pooling::kMean: return LLAMA_POOLING_TYPE_MEAN;
        case Pooling::kCls: return LLAMA_POOLING_TYPE_CLS;
        case Pooling::kLast: return LLAMA_POOLING_TYPE_LAST;
        case Pooling::kRank: return LLAMA_POOLING_TYPE_RANK;
    }
    return LLAMA_POOLING_TYPE_NONE;
}

// libllama reads a score where there is no head, too: the first number of a token's vector.
bool has_rank_head(const std::string& path) {
    const std::unique_ptr<gguf_context, void (*)(gguf_context*)> file(
        gguf_init_from_file(path.c_str(), gguf_init_params{.no_alloc = true, .ctx = nullptr}), gguf_free);
    return file && (gguf_find_tensor(file.get(), "cls.weight") >= 0 || gguf_find_tensor(file.get(), "cls.output.weight") >= 0);
}

// Bytes of buffers that a forward of `rows` takes, from above: some twenty vectors a row, the scores of each row with each, a row of
// logits, for which libllama has room even if there are none, and for a decoder the ones it computes although nobody asks, and its
// keys and values.
uint64_t forward_bytes(const llama_model* model, bool decoder, uint64_t rows) {
    const auto width = static_cast<uint64_t>(std::max(1, llama_model_n_embd(model)));
    const auto heads = static_cast<uint64_t>(std::max(1, llama_model_n_head(model)));
    const auto layers = static_cast<uint64_t>(std::max(1, llama_model_n_layer(model)));
    const auto vocabulary = static_cast<uint64_t>(llama_vocab_n_tokens(llama_model_get_vocab(model)));
    const uint64_t row = 80 * width + 4 * vocabulary + (decoder ? 4 * vocabulary + 4 * layers * width : 0);
    return rows * (row + rows * heads * 4);
}

class LibllamaEmbeddingRunner final : public LlamaEmbeddingRunner {
public:
    LibllamaEmbeddingRunner(LlamaModelPtr model, LlamaContextPtr context, LlamaThreadsPtr threads, const EmbeddingCapacity& capacity)
        : model_(std::move(model)),
          threads_(std::move(threads)),
          context_(std::move(context)),
          capacity_(capacity),
          memory_(llama_get_memory(context_.get())),
          encodes_(memory_ == nullptr || llama_model_has_encoder(model_.get())),
          batch_(llama_batch_init(static_cast<int32_t>(capacity.batch_rows), 0, 1)) {
        llama_set_abort_callback(
            context_.get(), [](void* flag) { return static_cast<std::atomic<bool>*>(flag)->load(std::memory_order_relaxed); },
            &abort_flag_);
        if (threads_) {
            llama_attach_threadpool(context_.get(), threads_.get(), threads_.get());
        }
    }
    ~LibllamaEmbeddingRunner() override {
        llama_batch_free(batch_);
        context_.reset();   // before the threads it is attached to and the model it reads
    }
    LibllamaEmbeddingRunner(const LibllamaEmbeddingRunner&) = delete;
    LibllamaEmbeddingRunner& operator=(const LibllamaEmbeddingRunner&) = delete;

    EmbeddingCapacity capacity() const override { return capacity_; }
    std::atomic<bool>& abort_flag() override { return abort_flag_; }
    const llama_model* model() const override { return model_.get(); }

    Result<ForwardOutcome> forward(std::span<const EmbeddingInput> inputs) override {
        abort_flag_ = false;
        fill_batch(inputs);
        mute_llama_log_when(&abort_flag_);
        const int32_t status = encodes_ ? llama_encode(context_.get(), batch_) : llama_decode(context_.get(), batch_);
        mute_llama_log_when(nullptr);
        if (memory_ != nullptr) {
            llama_memory_clear(memory_, false);   // nothing of an input outlives its forward, whatever came of it
        }
        if (status == 2) {
            return ForwardOutcome::kAborted;
        }
        if (status != 0) {
            return internal_error(fmt::format("the model library failed in a forward (status {})", status));
        }
        for (size_t i = 0; i < inputs.size(); ++i) {
            if (llama_get_embeddings_seq(context_.get(), static_cast<llama_seq_id>(i)) == nullptr) {
                return internal_error("the model gave no vector for an input");
            }
        }
        return ForwardOutcome::kDone;
    }

    std::span<const float> vector(size_t index) const override {
        const float* values = llama_get_embeddings_seq(context_.get(), static_cast<llama_seq_id>(index));
        GANTRY_ASSERT(values != nullptr, "the vector of an input of the last forward");
        return {values, capacity_.dimensions};
    }

private:
    void fill_batch(std::span<const EmbeddingInput> inputs) {
        GANTRY_ASSERT(!inputs.empty() && inputs.size() <= capacity_.batch_inputs, "a forward of 1 to batch_inputs inputs");
        size_t row = 0;
        for (size_t i = 0; i < inputs.size(); ++i) {
            GANTRY_ASSERT(row + inputs[i].size() <= capacity_.batch_rows, "a forward of at most batch_rows tokens");
            for (size_t at = 0; at < inputs[i].size(); ++at, ++row) {
                batch_.token[row] = inputs[i][at];
                batch_.pos[row] = static_cast<llama_pos>(at);
                batch_.n_seq_id[row] = 1;
                batch_.seq_id[row][0] = static_cast<llama_seq_id>(i);
                batch_.logits[row] = 1;   // pooling needs them all
            }
        }
        batch_.n_tokens = static_cast<int32_t>(row);
    }

    LlamaModelPtr model_;
    LlamaThreadsPtr threads_;
    LlamaContextPtr context_;
    const EmbeddingCapacity capacity_;
    llama_memory_t memory_;      // null: an encoder, which remembers nothing
    const bool encodes_;
    llama_batch batch_;
    std::atomic<bool> abort_flag_{false};
};

// The longest input and the rows of a forward, cut to what memory holds.
Status choose_sizes(const llama_model* model, const LlamaOptions& options, EmbeddingCapacity& capacity) {
    const auto trained = static_cast<uint32_t>(std::max(1, llama_model_n_ctx_train(model)));   // positions past it may not exist
    capacity.input_tokens = std::min(options.context_tokens ? options.context_tokens : kInputTokensMax, trained);
    uint32_t rows = std::max(options.batch_rows ? options.batch_rows : kRowsDefault, capacity.input_tokens);
    const uint64_t available = platform::memory_figures().available_bytes;
    const uint64_t usable = available - std::min(available, kReserveBytes);
    while (rows > kRowsMin && forward_bytes(model, generates_text(model), rows) > usable / 2) {
        rows = std::max(rows / 2, kRowsMin);
    }
    const uint64_t bytes = forward_bytes(model, generates_text(model), rows);
    if (bytes > usable) {
        return unavailable(fmt::format("not enough memory for inputs of {} tokens: it takes {} MiB, and {} MiB are available; stop "
                                       "another model", rows, bytes >> 20, usable >> 20), "out_of_memory");
    }
    capacity.batch_rows = rows;
    capacity.input_tokens = std::min(capacity.input_tokens, rows);
    return Ok{};
}

}  // namespace

std::optional<Pooling> pooling_of(const llama_model* model) {
    switch (llama_meta_number(model, ".pooling_type", LLAMA_POOLING_TYPE_NONE)) {
        case LLAMA_POOLING_TYPE_MEAN: return Pooling::kMean;
        case LLAMA_POOLING_TYPE_CLS: return Pooling::kCls;
        case LLAMA_POOLING_TYPE_LAST: return Pooling::kLast;
        case LLAMA_POOLING_TYPE_RANK: return Pooling::kRank;
        default: return generates_text(model) ? std::nullopt : std::optional(Pooling::kMean);
    }
}

Result<std::unique_ptr<LlamaEmbeddingRunner>> LlamaEmbeddingRunner::create(LlamaModelPtr model, Pooling pooling,
                                                                           const LlamaOptions& options) {
    const bool translates = llama_model_has_encoder(model.get()) && llama_model_has_decoder(model.get());
    if (translates || llama_model_is_diffusion(model.get())) {
        return invalid_argument("invalid model file: it makes neither text nor vectors in a way that is supported here (an encoder with "
                                "a decoder, or a diffusion model)", "model");
    }
    if (pooling == Pooling::kRank && !has_rank_head(options.model_path)) {
        return invalid_argument("invalid model file: it has no classification head, so it can't rank", "model");
    }
    EmbeddingCapacity capacity;
    capacity.pooling = pooling;
    capacity.vocabulary = static_cast<uint32_t>(llama_vocab_n_tokens(llama_model_get_vocab(model.get())));
    capacity.dimensions = pooling == Pooling::kRank ? llama_model_n_cls_out(model.get())
                                                    : static_cast<uint32_t>(llama_model_n_embd_out(model.get()));
    GANTRY_TRY(choose_sizes(model.get(), options, capacity));
    capacity.batch_inputs = std::min({options.max_sequences ? options.max_sequences : kInputsMax, kInputsMax, capacity.batch_rows});
    const uint32_t threads = options.threads ? options.threads : platform::usable_cores();

    llama_context_params params = llama_context_default_params();
    params.n_ctx = capacity.batch_rows;
    params.n_batch = capacity.batch_rows;
    params.n_ubatch = capacity.batch_rows;
    params.n_seq_max = capacity.batch_inputs;
    params.n_threads = static_cast<int32_t>(threads);
    params.n_threads_batch = static_cast<int32_t>(threads);
    params.embeddings = true;
    params.pooling_type = in_llama(pooling);
    params.kv_unified = true;
    params.swa_full = true;
    params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
    params.no_perf = true;
    LlamaContextPtr context;
    try {
        context.reset(llama_init_from_model(model.get(), params));
    } catch (const std::exception&) {
    }
    if (!context) {
        return unavailable(fmt::format("not enough memory for inputs of {} tokens: {}", capacity.batch_rows,
                                       llama_error_reason(options.model_path)), "out_of_memory");
    }
    ggml_threadpool_params pool = ggml_threadpool_params_default(static_cast<int>(threads));
    LlamaThreadsPtr pool_threads(threads > 1 ? ggml_threadpool_new(&pool) : nullptr);
    return std::unique_ptr<LlamaEmbeddingRunner>(std::make_unique<LibllamaEmbeddingRunner>(
        std::move(model), std::move(context), std::move(pool_threads), capacity));
}

}  // namespace gantry::engine
