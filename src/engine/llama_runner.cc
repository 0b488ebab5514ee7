#include "engine/llama_runner.h"

#include <fmt/format.h>
#include <llama.h>

#include "base/assert.h"
#include "base/platform/memory.h"
#include "engine/compute_threads.h"
#include "engine/llama_context_plan.h"
#include "engine/llama_model_file.h"

namespace gantry::engine {
namespace {

class LibllamaRunner final : public LlamaRunner {
public:
    LibllamaRunner(LlamaModelPtr model, const ContextPlan& plan, uint32_t threads)
        : model_(std::move(model)),
          threads_(threads),
          params_(plan.params),
          capacity_(plan.capacity),
          vocab_(llama_model_get_vocab(model_.get())),
          batch_(llama_batch_init(static_cast<int32_t>(capacity_.batch_rows), 0, 1)) {}
    ~LibllamaRunner() override { llama_batch_free(batch_); }
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
        GANTRY_ASSERT(context_ != nullptr, "a forward while asleep");
        threads_.forward_starts();
        mute_llama_log_when(&abort_flag_);
        const int32_t status = llama_decode(context_.get(), batch_);
        mute_llama_log_when(nullptr);
        threads_.forward_ended();
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
        if (!context_) {
            return;   // asleep: every slot is empty
        }
        const bool removed = llama_memory_seq_rm(memory_, slot, from_position, -1);
        GANTRY_ASSERT(removed, "this model's memory cannot forget a part of a sequence");
    }

    bool share_prefix(Slot from, Slot to, int32_t length) override {
        // A state has no prefix: a copy would silently hold more than asked for.
        if (has_state() && llama_memory_seq_pos_max(memory_, from) != length - 1) {
            return false;
        }
        llama_memory_seq_rm(memory_, to, -1, -1);   // adding an id to a cell that has it is an error
        llama_memory_seq_cp(memory_, from, to, 0, length);
        // A sliding window may have dropped the beginning meanwhile; then there is nothing to share. A state knows its end only.
        const int32_t first = has_state() ? llama_memory_seq_pos_min(memory_, from) : 0;
        if (llama_memory_seq_pos_min(memory_, to) == first && llama_memory_seq_pos_max(memory_, to) == length - 1) {
            return true;
        }
        llama_memory_seq_rm(memory_, to, -1, -1);
        return false;
    }

    uint32_t threads_max() const override { return threads_.max(); }
    void set_threads(uint32_t threads) override { threads_.set(threads); }
    ThreadEvidence thread_evidence() const override { return threads_.evidence(); }

    // The weights stay: they are the file's pages, or packed ones that cost far more than cells to make again.
    bool set_asleep(bool asleep) override {
        if (asleep) {
            threads_.forget_context();
            context_.reset();
            memory_ = nullptr;
            return true;
        }
        if (context_) {
            return true;
        }
        try {
            context_.reset(llama_init_from_model(model_.get(), params_));
        } catch (const std::exception&) {
        }
        if (!context_) {
            return false;
        }
        memory_ = llama_get_memory(context_.get());
        // A state that cannot go back a few tokens cannot be restored after an abort, so there it is never begun.
        if (!has_state()) {
            llama_set_abort_callback(
                context_.get(), [](void* flag) { return static_cast<std::atomic<bool>*>(flag)->load(std::memory_order_relaxed); },
                &abort_flag_);
        }
        threads_.attach(context_.get());
        return true;
    }

    std::atomic<bool>& abort_flag() override { return abort_flag_; }

    const llama_context* context() const { return context_.get(); }
    const llama_model* model() const override { return model_.get(); }
    const llama_vocab* vocab() const override { return vocab_; }
    uint32_t trained_context_tokens() const override { return static_cast<uint32_t>(llama_model_n_ctx_train(model_.get())); }
    std::string description() const override { return llama_description(model_.get()); }

private:
    bool has_state() const { return capacity_.sharing != PrefixSharing::kAny; }

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
    ComputeThreads threads_;
    LlamaContextPtr context_;       // null: asleep; goes before the threads it is attached to and the model it reads
    const llama_context_params params_;
    const RunnerCapacity capacity_;
    llama_memory_t memory_ = nullptr;
    const llama_vocab* vocab_;
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
    const Result<ContextPlan> plan = plan_context(model.get(), options);
    if (!plan) {
        return plan.error();
    }
    const uint32_t threads = options.threads ? options.threads : platform::usable_cores();
    auto runner = std::make_unique<LibllamaRunner>(std::move(model), *plan, threads);
    if (!runner->set_asleep(false)) {
        return unavailable(fmt::format("not enough memory for a context of {} tokens: {}", plan->params.n_ctx,
                                       llama_error_reason(options.model_path)), "out_of_memory");
    }
    if (llama_get_memory(runner->context()) == nullptr) {
        return invalid_argument("invalid model file: it is no text generation model (an encoder)", "model");
    }
    return std::unique_ptr<LlamaRunner>(std::move(runner));
}

}  // namespace gantry::engine
