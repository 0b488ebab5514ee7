#pragma once
// A model made of arithmetic, for tests and the simulation. The logits after a token depend on every token and position before
// it in its slot, so that a wrong cell, a wrong position, a lost or doubled row, or a prefix of somebody else shows as a wrong
// token. It keeps cells as the real one does and asserts the contract of ModelRunner. Threads: as ModelRunner.

#include <functional>
#include <optional>
#include <vector>

#include "engine/engine.h"
#include "engine/model_runner.h"

namespace gantry::engine {

struct FakeRunnerOptions {
    RunnerCapacity capacity{.context_tokens = 256, .slots = 8, .batch_rows = 64, .vocabulary = 61};
    std::vector<TokenId> end_tokens{};                   // of generation
    bool can_share = true;
    // Called in forward() before anything is stored; an answer replaces the outcome. For costs (advance a clock), errors, kNoSpace,
    // or to wait for the abort flag.
    std::function<std::optional<Result<ForwardOutcome>>(const Batch&)> on_forward{};
    // May spoil the logits of a row of a slot.
    std::function<void(Slot, std::vector<float>&)> on_logits{};
    // Planted bugs, each of which the tests must notice.
    bool bug_loses_a_row = false;                        // every 50th row is not stored as it was given
    bool bug_shares_wrong_cells = false;                 // a shared prefix lacks its middle token
    bool bug_keeps_cells = false;                        // truncate() forgets the slot but not its cells
    bool bug_keeps_guesses = false;                      // truncate() in the middle does nothing
};

class FakeRunner : public ModelRunner {
public:
    explicit FakeRunner(FakeRunnerOptions options);

    RunnerCapacity capacity() const override { return options_.capacity; }
    bool is_end_of_generation(TokenId token) const override;
    Result<ForwardOutcome> forward(const Batch& batch) override;
    std::span<const float> logits(size_t row) const override;
    void truncate(Slot slot, int32_t from_position) override;
    bool share_prefix(Slot from, Slot to, int32_t length) override;
    std::atomic<bool>& abort_flag() override { return abort_flag_; }

    uint32_t cells_used() const;
    uint32_t length(Slot slot) const;
    uint64_t rows_computed() const { return rows_computed_; }

    // What the logits after `history` are, by definition.
    static std::vector<float> logits_after(std::span<const TokenId> history, uint32_t vocabulary);
    // The tokens a sequence must get when it is computed alone, and how it ends; `context_tokens` as in the capacity.
    struct Expected {
        std::vector<TokenId> tokens;
        FinishReason finish = FinishReason::kLength;
    };
    static Expected expected(const SequenceRequest& request, const FakeRunnerOptions& options);

private:
    struct Cell {
        uint64_t state = 0;     // of the history up to and including this cell
        uint32_t owners = 0;
    };
    static uint64_t advance(uint64_t state, TokenId token, int32_t position);
    static std::vector<float> logits_of(uint64_t state, uint32_t vocabulary);
    void drop(uint32_t cell);
    void check_contract(const Batch& batch) const;

    FakeRunnerOptions options_;
    std::atomic<bool> abort_flag_{false};
    std::vector<Cell> cells_;
    std::vector<std::vector<uint32_t>> slots_;           // by slot: its cells by position
    std::vector<std::vector<float>> logits_;             // by row of the last forward; empty: not wanted
    uint64_t rows_computed_ = 0;
};

}  // namespace gantry::engine
