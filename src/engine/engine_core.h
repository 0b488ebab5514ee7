#pragma once
// The engine without its thread: all open sequences, and the step that advances them. engine_loop.cc drives it; the simulation
// drives it too, one step at a time, and asks check_integrity() after each.
//
//   submit -> waiting --admit--> running (has a slot) --end--> event with `finish`
//                ^------preempt-----'
//
// Threads: none of its own; all calls on one. Callbacks run inside submit-less calls: step(), cancel(), end_all().

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "engine/batch_planner.h"
#include "engine/cost_model.h"
#include "engine/draft_worth.h"
#include "engine/drafter.h"
#include "engine/engine.h"
#include "engine/kv_space.h"
#include "engine/sampler.h"
#include "engine/sequence.h"
#include "engine/thread_governor.h"

namespace prometheus {
class Counter;
class Gauge;
class Histogram;
}  // namespace prometheus

namespace gantry::engine {

// Told around each forward, so that another thread can decide whether to cut it short.
class ForwardWatch {
public:
    virtual ~ForwardWatch() = default;
    virtual void forward_starts(const std::vector<SequenceId>& ids, double expected_ms) = 0;
    virtual void forward_ended(ForwardOutcome outcome) = 0;
};

struct EngineCoreParts {
    ModelRunner& runner;
    const Clock& clock;
    const BatchPlanner& planner;
    ForwardWatch* watch = nullptr;
    Drafter* drafter = nullptr;           // null: no guesses
};

// kInvalidArgument when the request can't be computed by a runner of this capacity.
Status validate(const SequenceRequest& request, const RunnerCapacity& capacity);

class EngineCore {
public:
    EngineCore(const EngineCoreParts& parts, const EngineConfig& config);
    ~EngineCore();

    // REQUIRES: validate() was ok; ids grow.
    void submit(SequenceId id, SequenceRequest request, SteadyTime submitted_at);
    void cancel(SequenceId id);                       // unknown: ignored
    void end_all(FinishReason reason, const std::string& error);
    bool has_work() const { return !open_.empty(); }
    void step();
    // REQUIRES: !has_work(). Times a forward of so many rows, so that the first plans know what steps cost. False: it was cut, or failed.
    bool calibrate(uint32_t rows);
    // REQUIRES: no sequence runs. False: the memory could not be had, or not be given back; all is as before.
    bool set_asleep(bool asleep);

    EngineStats stats() const;
    uint32_t never_admitted() const { return never_admitted_; }
    // What should hold between any two steps; a text says what does not.
    std::optional<std::string> check_integrity() const;

private:
    friend struct EngineCorePeer;   // the simulation plants bugs through it

    // One sequence's tokens of a step: the one after its last row, and after each right guess the next.
    struct Sampled {
        Sequence* sequence = nullptr;
        size_t row = 0;             // of the batch, the first with logits
        uint32_t drafts = 0;        // guesses in the rows after it
        std::vector<TokenEvent> events{};
    };
    // Where a sequence's beginning can be had: now, or soon from one that computes it.
    struct Prefix {
        PrefixMatch now;
        std::optional<Following> soon;
    };
    struct Metrics;

    // The five verbs.
    void admit();
    StepPlan plan();
    bool forward(const StepPlan& plan);   // false: nothing was computed
    void sample();
    void publish();

    // engine_admission.cc: who gets a slot, and the beginnings that sequences share.
    void enqueue(Sequence& sequence);
    void end_expired();
    bool admit_one(Sequence& candidate);
    bool give_way(const Sequence& candidate);
    void place(Sequence& sequence, const Prefix& prefix);
    void join_prefixes();
    void join_prefix(Sequence& sequence);
    Prefix find_prefix(const Sequence& sequence) const;
    void take_prefix(Sequence& sequence, uint32_t length);
    uint32_t promised_cells() const;
    void preempt(Sequence& sequence);
    void leave_slot(Sequence& sequence, bool keep);
    Sequence* at(Slot slot) const { return by_slot_[static_cast<size_t>(slot)]; }

    void draft();
    void weigh_drafts();
    void learn_cost(double ms);
    void build_batch(const StepPlan& plan);
    void advance(const StepPlan& plan, SteadyTime started);
    void gather_sampled(const StepPlan& plan, SteadyTime started);
    void gather_followers(const Sequence& leader, size_t row, SteadyTime started);
    void sample_all(Sampled& sampled);
    TokenEvent sample_one(Sequence& sequence, size_t row);
    bool may_end(const Sequence& sequence, TokenId token) const;
    void forward_failed(const Error& error, const StepPlan& plan);
    void forward_lacked_space();
    void end(Sequence& sequence, TokenEvent event, FinishReason reason);
    void emit(Sequence& sequence, TokenEvent event);
    bool is_end_token(TokenId token) const;
    StepState step_state() const;
    Sequence* youngest_running() const;
    uint32_t running() const { return static_cast<uint32_t>(open_.size() - waiting_.size()); }
    void update_gauges();

    ModelRunner& runner_;
    const Clock& clock_;
    const BatchPlanner& planner_;
    ForwardWatch* watch_;
    Drafter* drafter_;
    const EngineConfig config_;
    const RunnerCapacity capacity_;
    std::vector<TokenId> end_tokens_;     // sorted

    std::map<SequenceId, std::unique_ptr<Sequence>> open_;   // all; waiting_ and by_slot_ point into it
    std::deque<Sequence*> waiting_;       // by class, then by id: the oldest first
    std::vector<Sequence*> by_slot_;      // null: no sequence runs there
    KvSpace kv_;
    CostModel cost_;
    DraftWorth draft_worth_;
    std::optional<double> guess_ms_;      // that the drafter took for this step; none: it was not asked
    ThreadGovernor governor_;
    Sampler sampler_;
    Batch batch_;
    std::vector<size_t> last_row_of_;     // by slot: where its last row lies in the batch
    std::vector<Sampled> sampled_;
    uint32_t failures_in_row_ = 0;
    uint32_t no_space_in_row_ = 0;
    uint32_t never_admitted_ = 0;
    uint64_t step_ = 0;
    uint32_t with_deadline_ = 0;
    uint64_t prompt_tokens_total_ = 0;
    uint64_t cached_tokens_total_ = 0;
    uint64_t drafted_tokens_total_ = 0;
    uint64_t accepted_tokens_total_ = 0;
    uint64_t generated_tokens_total_ = 0;
    uint64_t preemptions_total_ = 0;
    double last_step_ms_ = 0;
    std::unique_ptr<Metrics> metrics_;
};

}  // namespace gantry::engine
