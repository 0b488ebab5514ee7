#include "engine/llama_runner.h"

#include <fmt/format.h>
#include <ggml-cpu.h>
#include <llama.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <mutex>

#include "base/guarded.h"
#include "base/log.h"
#include "base/platform/memory.h"
#include "engine/kernels/attention.h"

namespace gantry::engine {
namespace {

constexpr uint32_t kSequencesDefault = 64;
constexpr uint32_t kSequencesMax = 256;      // LLAMA_MAX_SEQ, compiled into llama.cpp
constexpr uint32_t kBatchRowsDefault = 512;
constexpr uint32_t kContextMin = 256;        // llama.cpp pads contexts to this
constexpr uint64_t kReserveBytes = 256ull << 20;   // for compute buffers and the rest of the process

// --- llama.cpp's log ---------------------------------------------------------------------------------------------------

// Its messages come in pieces, from any thread; whole lines of warnings and errors go to our log, and the first error of a load is
// kept: it says why, those after it only that. What is said about a forward that we cut ourselves is dropped.
struct LogState {
    std::string line;
    ggml_log_level level = GGML_LOG_LEVEL_NONE;
    std::string first_error;
};

thread_local const std::atomic<bool>* cut_forward = nullptr;   // while this thread is in forward(): its abort flag

Guarded<LogState>& log_state() {
    static Guarded<LogState> state;   // llama.cpp's log callback is one a process
    return state;
}

void on_llama_log(ggml_log_level level, const char* text, void*) {
    std::string line;
    log_state().with([&](LogState& state) {
        if (level != GGML_LOG_LEVEL_CONT) {
            state.level = level;
        }
        state.line += text;
        if (state.line.empty() || state.line.back() != '\n') {
            return;
        }
        state.line.pop_back();
        level = state.level;
        line = std::exchange(state.line, {});
        if (level == GGML_LOG_LEVEL_ERROR && state.first_error.empty()) {
            state.first_error = line;
        }
    });
    if (line.empty() || (cut_forward && cut_forward->load())) {
        return;
    }
    if (level == GGML_LOG_LEVEL_ERROR) {
        log::error("llama.cpp: {}", line);
    } else if (level == GGML_LOG_LEVEL_WARN) {
        log::warn("llama.cpp: {}", line);
    }
}

void init_backend_once() {
    static std::once_flag once;
    std::call_once(once, [] {
        llama_log_set(on_llama_log, nullptr);
        llama_backend_init();
    });
}

// "error loading model: missing tensor 'x'" out of the first error line; paths don't get through.
std::string load_error_reason(const std::string& path) {
    std::string line = log_state().with([](LogState& state) { return std::exchange(state.first_error, {}); });
    for (const char* mark : {"error loading model: ", "failed to load model from file: "}) {
        const size_t at = line.find(mark);
        if (at != std::string::npos) {
            line = line.substr(at + std::string(mark).size());
        }
    }
    const size_t colon = line.find(": ");
    if (colon != std::string::npos && line.find(' ') == colon + 1) {
        line = line.substr(colon + 2);   // the function's name
    }
    for (size_t at = line.find(path); at != std::string::npos && !path.empty(); at = line.find(path)) {
        line.replace(at, path.size(), "the file");
    }
    return line.empty() ? "llama.cpp could not read it" : line;
}

// --- sizes -------------------------------------------------------------------------------------------------------------

int64_t meta_number(const llama_model* model, const std::string& key, int64_t otherwise) {
    char arch[64] = {};
    llama_model_meta_val_str(model, "general.architecture", arch, sizeof arch);
    char value[64] = {};
    if (llama_model_meta_val_str(model, (std::string(arch) + key).c_str(), value, sizeof value) <= 0) {
        return otherwise;
    }
    const long long number = std::strtoll(value, nullptr, 10);
    return number > 0 ? number : otherwise;
}

// Bytes that one cell takes: key and value of each layer, in 16 bits. An upper bound for models with windows or state layers.
uint64_t cell_bytes(const llama_model* model) {
    const int64_t heads = std::max(1, llama_model_n_head(model));
    const int64_t head_size = std::max(1, llama_model_n_embd(model)) / heads;
    const int64_t key_length = meta_number(model, ".attention.key_length", head_size);
    const int64_t value_length = meta_number(model, ".attention.value_length", head_size);
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

struct FreeModel {
    void operator()(llama_model* model) const { llama_model_free(model); }
};
struct FreeContext {
    void operator()(llama_context* context) const { llama_free(context); }
};
struct FreeThreads {
    void operator()(ggml_threadpool* pool) const { ggml_threadpool_free(pool); }
};
using ModelPtr = std::unique_ptr<llama_model, FreeModel>;
using ContextPtr = std::unique_ptr<llama_context, FreeContext>;
using ThreadsPtr = std::unique_ptr<ggml_threadpool, FreeThreads>;

// --- the runner --------------------------------------------------------------------------------------------------------

class LibllamaRunner final : public LlamaRunner {
public:
    LibllamaRunner(ModelPtr model, ContextPtr context, ThreadsPtr threads, const RunnerCapacity& capacity)
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
        cut_forward = &abort_flag_;
        const int32_t status = llama_decode(context_.get(), batch_);
        cut_forward = nullptr;
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
    std::string description() const override {
        char architecture[64] = {};
        llama_model_meta_val_str(model_.get(), "general.architecture", architecture, sizeof architecture);
        char type[96] = {};   // "llama 256M Q4_1": its size is a guess by layers, so only the quantization is taken
        llama_model_desc(model_.get(), type, sizeof type);
        const std::string_view words(type);
        const uint64_t millions = (llama_model_n_params(model_.get()) + 500'000) / 1'000'000;
        return fmt::format("{} {}M{}", architecture, millions, words.substr(std::min(words.rfind(' '), words.size())));
    }

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

    ModelPtr model_;
    ThreadsPtr threads_;
    ContextPtr context_;
    const RunnerCapacity capacity_;
    llama_memory_t memory_;
    const llama_vocab* vocab_;
    const bool partial_;            // sequences can be cut and shared at any position
    llama_batch batch_;
    std::atomic<bool> abort_flag_{false};
};

Result<ModelPtr> load_model(const LlamaOptions& options) {
    struct stat file {};
    if (::stat(options.model_path.c_str(), &file) != 0 || !S_ISREG(file.st_mode)) {
        return invalid_argument("invalid model file: it does not exist or is not a file", "model");
    }
    const uint64_t available = platform::memory_figures().available_bytes;
    if (static_cast<uint64_t>(file.st_size) > available) {
        return unavailable(fmt::format("not enough memory for this model: its file has {} MiB, and {} MiB are available; choose a "
                                       "smaller quantization or stop another model", file.st_size >> 20, available >> 20),
                           "out_of_memory");
    }
    llama_model_params params = llama_model_default_params();
    params.load_mode = LLAMA_LOAD_MODE_MMAP;   // a quarter less CPU time than reading, and what is not repacked stays page cache
    std::function<void(float)> on_progress = options.on_progress;
    params.progress_callback_user_data = &on_progress;
    params.progress_callback = [](float progress, void* user) {
        const auto& report = *static_cast<std::function<void(float)>*>(user);
        if (report) {
            report(progress);
        }
        return true;
    };
    log_state().with([](LogState& state) { state.first_error.clear(); });
    ModelPtr model;
    try {
        model.reset(llama_model_load_from_file(options.model_path.c_str(), params));
    } catch (const std::bad_alloc&) {
        return unavailable("not enough memory to load this model: choose a smaller quantization or stop another model",
                           "out_of_memory");
    } catch (const std::exception&) {
        return invalid_argument("invalid model file: llama.cpp could not read it", "model");
    }
    if (!model) {
        const std::string reason = load_error_reason(options.model_path);
        if (reason.find("allocate") != std::string::npos) {
            return unavailable("not enough memory to load this model: " + reason, "out_of_memory");
        }
        return invalid_argument("invalid model file: " + reason, "model");
    }
    if (!llama_model_has_decoder(model.get()) || llama_model_has_encoder(model.get()) || llama_model_is_diffusion(model.get())) {
        return invalid_argument("invalid model file: it is no text generation model (an encoder, or a diffusion model)", "model");
    }
    if (llama_vocab_n_tokens(llama_model_get_vocab(model.get())) <= 0) {
        return invalid_argument("invalid model file: it has no vocabulary", "model");
    }
    return model;
}

}  // namespace

Result<std::unique_ptr<LlamaRunner>> LlamaRunner::load(const LlamaOptions& options) {
    init_backend_once();
    Result<ModelPtr> model = load_model(options);
    if (!model) {
        return model.error();
    }
    const uint32_t slots = std::min(options.max_sequences ? options.max_sequences : kSequencesDefault, kSequencesMax);
    const uint32_t rows = std::max(options.batch_rows ? options.batch_rows : kBatchRowsDefault, slots);
    const Result<uint32_t> context_tokens = choose_context(model->get(), options.context_tokens, rows);
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
    // With our kernel a row costs what its own sequence holds. Without it ggml's own flash attention makes a prompt faster and every
    // token after it slower (SmolLM2, quiet: TTFT 296 instead of 398 ms, TPOT 8.7 instead of 4.8 ms), and a chat is mostly the latter.
    params.flash_attn_type = kernels::install_attention() != kernels::AttentionKernel::kNone ? LLAMA_FLASH_ATTN_TYPE_ENABLED
                                                                                            : LLAMA_FLASH_ATTN_TYPE_DISABLED;
    params.no_perf = true;
    ContextPtr context;
    try {
        context.reset(llama_init_from_model(model->get(), params));
    } catch (const std::exception&) {
    }
    if (!context) {
        return unavailable(fmt::format("not enough memory for a context of {} tokens: {}", *context_tokens,
                                       load_error_reason(options.model_path)), "out_of_memory");
    }
    const RunnerCapacity capacity{
        .context_tokens = llama_n_ctx(context.get()),
        .slots = slots,
        .batch_rows = rows,
        .vocabulary = static_cast<uint32_t>(llama_vocab_n_tokens(llama_model_get_vocab(model->get())))};
    // Threads of its own: without them ggml starts and joins some for every forward.
    ggml_threadpool_params pool = ggml_threadpool_params_default(static_cast<int>(threads));
    ThreadsPtr pool_threads(threads > 1 ? ggml_threadpool_new(&pool) : nullptr);
    return std::unique_ptr<LlamaRunner>(std::make_unique<LibllamaRunner>(std::move(model).value(), std::move(context),
                                                                         std::move(pool_threads), capacity));
}

}  // namespace gantry::engine
