#pragma once
// The batch planner decides what the next step computes: state in, plan out, nothing touched. EngineCore does what it says.
//
// Every decoding sequence gets its one row. Prefills share what is left of the time a step may take, by CostModel: with nobody
// decoding that is EngineConfig::step_ms_max, else a multiple of what the streams' step would take without them, so that a long
// prompt slows the streams by a known factor and no more. Prefills run one after the other rather than in lock-step, so that the
// mean time to first token is low and each starts to decode as soon as it is ready: the higher class first, in it the shortest
// first with ageing, and who got nothing for long gets a tile of rows before all others.
// Rows that no prefill wants verify drafted tokens, as many as raise the expected tokens a millisecond: rows that complete a
// kernel's tile cost nothing, so they are worth even a poor guess.
// KV cells are the other limit: when the decoding rows don't fit, the youngest sequence of the lowest class is to be preempted,
// one a plan, and the next plan sees what that freed. Nobody gives way to a lower class.

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/cost_model.h"
#include "engine/engine.h"

namespace gantry::engine {

struct RunningView {
    Slot slot = 0;
    SequenceId id = 0;
    Priority priority = Priority::kNormal;
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
    std::vector<RunningView> running{};
    uint32_t free_cells = 0;
    uint32_t rows_max = 0;
    uint32_t logit_rows_max = 0;   // rows with logits at most; 0: as many as rows
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
    double expected_ms = 0;        // 0: unknown
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
    // May the next waiting sequence be admitted now?
    virtual bool admits(const AdmissionState& state) const;
    virtual StepPlan plan(const StepState& state) const;
};

}  // namespace gantry::engine
