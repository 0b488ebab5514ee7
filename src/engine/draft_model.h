#pragma once
// Guesses by a smaller model of the same vocabulary: what it would answer without temperature. It keeps a context of its own for
// each slot and computes only what that lacks: what the verified tokens and its own guesses share stays. All sequences are
// guessed for in one forward a token. Equal prompts under one salt are computed once.
//
// Limits: one propose() computes at most `call_rows_max` rows, so a long prompt is caught up with over several calls, without
// guesses for that sequence meanwhile. Whatever goes wrong costs guesses, never an answer: out of cells, contexts that are not
// asked for make room; after `failures_max` errors in a row it is not asked again.

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/drafter.h"
#include "engine/sampler.h"

namespace gantry::engine {

struct DraftModelOptions {
    uint32_t call_rows_max = 256;
    uint32_t guesses_max = 4;   // a sequence and call: each takes a forward, and the later ones are seldom right
    uint32_t failures_max = 3;
};

class DraftModel : public Drafter {
public:
    // kInvalidArgument when the two models can't have the same vocabulary, or when this one's memory can't be cut at any point.
    // Whether equal tokens stand for equal texts is for who loads both to see.
    static Result<std::unique_ptr<DraftModel>> make(std::unique_ptr<ModelRunner> runner, const ModelRunner& target,
                                                    const DraftModelOptions& options = {});

    void propose(std::span<DraftRequest> requests) override;
    void forget(Slot slot) override;
    void set_threads(uint32_t threads) override;
    void set_asleep(bool asleep) override;

private:
    struct Context {
        std::vector<TokenId> tokens;   // those whose KV lies in the slot
        std::string salt;
    };
    // A request of this call.
    struct Task {
        DraftRequest* request = nullptr;
        uint32_t kept = 0;             // of its tokens, when the call began
        uint32_t most = 0;             // guesses that rows are left for
        uint32_t missing() const { return static_cast<uint32_t>(request->tokens.size()) - kept; }
    };

    DraftModel(std::unique_ptr<ModelRunner> runner, const DraftModelOptions& options);
    void choose_tasks(std::span<DraftRequest> requests);
    void adjust(const DraftRequest& request);
    bool waits(const Task& task) const;
    bool catch_up();
    bool guess_on();
    bool add_row(Task& task, TokenId token, bool wants_logits);
    bool flush();
    void read_guess(Task& task, size_t row);
    void make_room();
    void failed(const Error& error);
    Context& context(Slot slot) { return contexts_[static_cast<size_t>(slot)]; }
    const Context& context(Slot slot) const { return contexts_[static_cast<size_t>(slot)]; }

    const std::unique_ptr<ModelRunner> runner_;
    const DraftModelOptions options_;
    const RunnerCapacity capacity_;
    const SamplingParams greedy_{.temperature = 0};
    Sampler sampler_;
    std::vector<Context> contexts_;    // by slot
    std::vector<Task> tasks_;
    Batch batch_;
    std::vector<Task*> task_of_row_;   // null: a row without logits
    uint32_t logit_rows_ = 0;          // of the batch
    bool can_share_ = true;            // until the runner says no
    uint32_t failures_in_row_ = 0;
};

}  // namespace gantry::engine
