#pragma once
// The batch planner decides what the next step computes: state in, plan out, nothing touched. EngineCore does what it says.
//
// Every decoding sequence gets its one row; prefills share what is left of the step's budget, the shortest first with ageing, one
// after the other rather than in lock-step, so that the mean time to first token is low and each starts to decode as soon as it
// is ready. The budget is what fits the time a step may take, by CostModel; when streams run it is their pace that limits.
// KV cells are the other limit: when the decoding rows don't fit, the youngest sequence is to be preempted, one a plan, and the
// next plan sees what that freed.

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "engine/engine.h"

namespace gantry::engine {

// What a step costs by its number of rows, learnt from the steps so far: milliseconds a row, an exponential average for each
// power of two of rows. Issue 4 replaces this by a model of weights, rows and attention, measured at start: same questions.
class CostModel {
public:
    void observe(uint32_t rows, double ms);
    bool knows() const { return known_; }
    double expected_ms(uint32_t rows) const;      // 0 while nothing is known
    // The most rows that are expected to take no longer; at least 1.
    uint32_t rows_within(double ms, uint32_t rows_max) const;

private:
    static constexpr uint32_t kBuckets = 17;
    double row_ms(uint32_t bucket) const;
    std::array<double, kBuckets> row_ms_{};       // 0: not seen
    bool known_ = false;
};

struct RunningView {
    Slot slot = 0;
    SequenceId id = 0;
    uint32_t computed = 0;
    uint32_t remaining = 0;        // tokens without KV; 1: its next row yields a token
    bool follows = false;          // gets its prefix from another one: no rows now
    bool generates = false;        // has published tokens: its pace counts
    uint64_t steps_running = 0;    // since its admission
    uint64_t steps_idle = 0;       // since its last row
    uint32_t drafted = 0;          // tokens that a drafter guesses to come after its next row; 0 unless remaining is 1
    double acceptance = 0;         // how likely each of them is right when those before it are, learnt from this sequence so far
};

struct StepState {
    std::vector<RunningView> running;
    uint32_t free_cells = 0;
    uint32_t rows_max = 0;
    double step_ms_max = 0;
    const CostModel* cost = nullptr;
};

struct PlannedRows {
    Slot slot = 0;
    uint32_t rows = 0;             // the next so many tokens of the slot's sequence
    uint32_t drafts = 0;           // and so many drafted ones after them, with logits each
};

struct StepPlan {
    std::optional<Slot> preempt;   // set: do this, then plan again; `rows` is empty
    std::vector<PlannedRows> rows; // a slot at most once; empty: nothing can be computed
    double expected_ms = 0;
};

struct AdmissionState {
    uint32_t running = 0;
    uint32_t free_slots = 0;
    uint32_t cells = 0;            // of the whole cache
    uint32_t free_cells = 0;
    uint32_t promised_cells = 0;   // running prefills will still take so many of the free ones
    uint32_t needed_cells = 0;     // the candidate: its tokens, less what it can share
};

class BatchPlanner {
public:
    virtual ~BatchPlanner() = default;
    // May the oldest waiting sequence be admitted now?
    virtual bool admits(const AdmissionState& state) const;
    virtual StepPlan plan(const StepState& state) const;
};

}  // namespace gantry::engine
