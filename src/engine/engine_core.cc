#include "engine/engine_core.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.h"
#include "base/log.h"
#include "engine/engine_metrics.h"

namespace gantry::engine {

namespace {

class TimedScope {
public:
    TimedScope(const Clock& clock, prometheus::Histogram& histogram)
        : clock_(clock), histogram_(histogram), started_(clock.steady()) {}
    ~TimedScope() { histogram_.Observe(std::chrono::duration<double>(clock_.steady() - started_).count()); }
    TimedScope(const TimedScope&) = delete;
    TimedScope& operator=(const TimedScope&) = delete;

private:
    const Clock& clock_;
    prometheus::Histogram& histogram_;
    const SteadyTime started_;
};

constexpr uint32_t kStreamRows = 16;
constexpr uint32_t kFailuresMax = 2;   // of the library itself, in a row: then this process cannot be trusted
constexpr uint32_t kNoSpaceMax = 3;    // refusals in a row with one sequence alone
constexpr uint32_t kDraftMax = 15;     // guesses a sequence and step
constexpr double kAcceptanceFloor = 0.3;
constexpr double kForgiveness = 0.01;  // a step

StepShape shape_of(const Batch& batch) {
    StepShape shape{.rows = static_cast<uint32_t>(batch.size())};
    for (const BatchRow& row : batch) {
        shape.attended += static_cast<uint64_t>(row.position) + 1;
    }
    return shape;
}

}  // namespace

Status validate(const SequenceRequest& request, const RunnerCapacity& capacity) {
    if (request.prompt.empty()) {
        return invalid_argument("the prompt is empty: send at least one token", "prompt");
    }
    if (request.prompt.size() + 1 > capacity.context_tokens) {
        return invalid_argument(
            fmt::format("the prompt has {} tokens, but this model's context holds {} and at least one must be left for the "
                        "answer: shorten the prompt or deploy with a larger context",
                        request.prompt.size(), capacity.context_tokens),
            "prompt", "context_length_exceeded");
    }
    for (TokenId token : request.prompt) {
        if (token < 0 || static_cast<uint32_t>(token) >= capacity.vocabulary) {
            return invalid_argument(fmt::format("the prompt holds the token {}, but the model's tokens are 0 to {}", token,
                                                capacity.vocabulary - 1), "prompt");
        }
    }
    return Ok{};
}

EngineCore::EngineCore(const EngineCoreParts& parts, const EngineConfig& config)
    : runner_(parts.runner),
      clock_(parts.clock),
      planner_(parts.planner),
      watch_(parts.watch),
      drafter_(parts.drafter),
      config_(config),
      capacity_(parts.runner.capacity()),
      by_slot_(capacity_.slots, nullptr),
      kv_(parts.runner, config.cache_cells),
      governor_(parts.runner.threads_max()),
      last_row_of_(capacity_.slots, 0),
      metrics_(std::make_unique<Metrics>()) {
    GANTRY_ASSERT(capacity_.slots > 0 && capacity_.batch_rows > 0 && capacity_.context_tokens > 1, "a runner without room");
    for (uint32_t token = 0; token < capacity_.vocabulary; ++token) {
        if (runner_.is_end_of_generation(static_cast<TokenId>(token))) {
            end_tokens_.push_back(static_cast<TokenId>(token));
        }
    }
}

EngineCore::~EngineCore() = default;

void EngineCore::step() {
    const SteadyTime started = clock_.steady();
    ++step_;
    {
        TimedScope timed(clock_, metrics_->admit);
        admit();
    }
    StepPlan step_plan;
    {
        TimedScope timed(clock_, metrics_->plan);
        step_plan = plan();
    }
    bool computed = false;
    {
        TimedScope timed(clock_, metrics_->forward);
        computed = forward(step_plan);
    }
    if (computed) {
        {
            TimedScope timed(clock_, metrics_->sample);
            sample();
        }
        weigh_drafts();
        TimedScope timed(clock_, metrics_->publish);
        publish();
    }
    last_step_ms_ = std::chrono::duration<double, std::milli>(clock_.steady() - started).count();
    update_gauges();
}

void EngineCore::submit(SequenceId id, SequenceRequest request, SteadyTime submitted_at) {
    GANTRY_ASSERT(open_.empty() || open_.rbegin()->first < id, "ids must grow: they are the order of arrival");
    auto sequence = std::make_unique<Sequence>();
    sequence->id = id;
    sequence->prompt_tokens = static_cast<uint32_t>(request.prompt.size());
    sequence->tokens = std::move(request.prompt);
    sequence->request = std::move(request);
    sequence->request.prompt.clear();
    sequence->submitted_at = submitted_at;
    if (needs_counts(sequence->request.sampling)) {
        for (TokenId token : sequence->tokens) {
            sequence->counts.try_emplace(token, 0);
        }
    }
    enqueue(*sequence);
    ++never_admitted_;
    with_deadline_ += sequence->request.deadline.never() ? 0 : 1;
    open_.emplace(id, std::move(sequence));
}

void EngineCore::cancel(SequenceId id) {
    const auto found = open_.find(id);
    if (found != open_.end()) {
        end(*found->second, TokenEvent{}, FinishReason::kCancelled);
    }
}

void EngineCore::end_all(FinishReason reason, const std::string& error) {
    while (!open_.empty()) {
        TokenEvent event;
        event.error = error;
        end(*open_.begin()->second, std::move(event), reason);
    }
}

// --- plan --------------------------------------------------------------------------------------------------------------

StepPlan EngineCore::plan() {
    draft();
    for (;;) {
        StepPlan step_plan = planner_.plan(step_state());
        if (!step_plan.preempt) {
            return step_plan;
        }
        preempt(*at(*step_plan.preempt));
        join_prefixes();   // whoever followed it needs another one to follow, or leads now
    }
}

// Guesses for those that decode; the planner says how many are worth their rows.
void EngineCore::draft() {
    guess_ms_.reset();
    if (!drafter_ || !kv_.can_cut()) {
        return;
    }
    const bool ask = draft_worth_.ask();
    std::vector<DraftRequest> requests;
    for (Sequence* sequence : by_slot_) {
        if (!sequence || sequence->remaining() != 1 || sequence->generated() == 0) {
            continue;
        }
        if (!sequence->draft.empty() && sequence->acceptance < kAcceptanceFloor) {
            sequence->acceptance += kForgiveness * (kAcceptanceFloor - sequence->acceptance);   // text changes: another try in a while
        }
        sequence->draft.clear();
        const uint32_t max_tokens = sequence->request.max_tokens;
        const uint32_t left = std::min(capacity_.context_tokens - sequence->length(),
                                       max_tokens > 0 ? max_tokens - sequence->generated() : capacity_.context_tokens);
        const uint32_t most = std::min(kDraftMax, left - std::min(left, 1u));   // the row itself yields one
        if (most > 0 && ask) {
            requests.push_back(DraftRequest{.slot = sequence->slot, .tokens = sequence->tokens,
                                            .prompt_tokens = sequence->prompt_tokens, .most = most,
                                            .salt = sequence->request.cache_salt});
        }
    }
    if (requests.empty()) {
        return;
    }
    const SteadyTime started = clock_.steady();
    drafter_->set_threads(governor_.threads());
    drafter_->propose(requests);
    guess_ms_ = std::chrono::duration<double, std::milli>(clock_.steady() - started).count();
    for (DraftRequest& request : requests) {
        at(request.slot)->draft = std::move(request.draft);
    }
}

// What the guesses of this step were worth. Without them each of n sequences would have got one token in the step's time, so that a
// right one saves an n-th of it.
void EngineCore::weigh_drafts() {
    if (!guess_ms_ || sampled_.empty()) {
        return;
    }
    const StepShape with = shape_of(batch_);
    StepShape without = with;
    size_t right = 0;
    for (const Sampled& sampled : sampled_) {
        for (size_t row = sampled.row + 1; row <= sampled.row + sampled.drafts; ++row) {
            without.rows -= 1;
            without.attended -= static_cast<uint64_t>(batch_[row].position) + 1;
        }
        right += sampled.events.size() - 1;
    }
    const double step_ms = cost_.expected_ms(without);
    if (step_ms > 0) {
        const double saved = step_ms * static_cast<double>(right) / static_cast<double>(sampled_.size());
        draft_worth_.observe(*guess_ms_, saved - (cost_.expected_ms(with) - step_ms), step_ms);
    }
}

StepState EngineCore::step_state() const {
    StepState state;
    for (const Sequence* sequence : by_slot_) {
        if (sequence) {
            state.running.push_back(RunningView{.slot = sequence->slot,
                                                .id = sequence->id,
                                                .priority = sequence->request.priority,
                                                .computed = sequence->computed,
                                                .remaining = sequence->remaining(),
                                                .follows = sequence->following.has_value(),
                                                .generates = sequence->generated() > 0,
                                                .steps_running = step_ - sequence->admitted_step,
                                                .steps_idle = step_ - sequence->last_row_step,
                                                .drafted = static_cast<uint32_t>(sequence->draft.size()),
                                                .acceptance = sequence->acceptance});
        }
    }
    state.free_cells = kv_.free_cells();
    state.rows_max = std::min(config_.step_tokens_max, capacity_.batch_rows);
    state.logit_rows_max = capacity_.logit_rows;
    state.step_ms_max = config_.step_ms_max / governor_.slowdown();   // the model's milliseconds are those of a quiet machine
    state.cost = &cost_;
    return state;
}

// --- forward -----------------------------------------------------------------------------------------------------------

bool EngineCore::forward(const StepPlan& step_plan) {
    GANTRY_ASSERT(!step_plan.rows.empty() || open_.empty(), "open sequences, but nothing can be computed");
    sampled_.clear();
    if (step_plan.rows.empty()) {
        return false;
    }
    build_batch(step_plan);
    kv_.make_room(static_cast<uint32_t>(batch_.size()));
    const SteadyTime started = clock_.steady();
    if (watch_) {
        std::vector<SequenceId> ids;
        for (const PlannedRows& rows : step_plan.rows) {
            ids.push_back(at(rows.slot)->id);
        }
        watch_->forward_starts(ids, step_plan.expected_ms * governor_.slowdown());
    }
    runner_.set_threads(governor_.threads());
    const Result<ForwardOutcome> outcome = runner_.forward(batch_);
    if (watch_) {
        watch_->forward_ended(outcome ? *outcome : ForwardOutcome::kDone);
    }
    if (!outcome) {
        forward_failed(outcome.error(), step_plan);
        return false;
    }
    if (*outcome == ForwardOutcome::kNoSpace) {
        forward_lacked_space();
        return false;
    }
    if (*outcome == ForwardOutcome::kAborted) {
        return false;   // no row was kept: the next plan has them again
    }
    const double ms = std::chrono::duration<double, std::milli>(clock_.steady() - started).count();
    learn_cost(ms);
    failures_in_row_ = 0;
    no_space_in_row_ = 0;
    advance(step_plan, started);
    gather_sampled(step_plan, started);
    return true;
}

// Steps that a neighbour held up say nothing about the model; without any other they are better than nothing. Where the system does not
// say who was held up, the cost model's own doubt of outliers has to do.
void EngineCore::learn_cost(double ms) {
    const StepShape shape = shape_of(batch_);
    const ThreadEvidence evidence = runner_.thread_evidence();
    const bool all_threads = governor_.threads() == runner_.threads_max();
    governor_.observe(GovernedStep{.threads = governor_.threads(),
                                   .ms = ms,
                                   .expected_ms = cost_.expected_ms(shape),
                                   .waited_ms = evidence.waited_ms,
                                   .idle_cores = evidence.idle_cores},
                      clock_.steady());
    if (governor_.undisturbed() || (evidence.waited_ms < 0 && all_threads) || !cost_.knows()) {
        cost_.observe(shape, ms);
    }
}

bool EngineCore::calibrate(uint32_t rows) {
    GANTRY_ASSERT(open_.empty(), "only an idle engine is calibrated");
    const std::vector<TokenId> tokens(rows, 0);
    kv_.make_room(rows);
    const KvSpace::Opened opened = kv_.open({}, tokens, {});
    batch_.clear();
    for (uint32_t i = 0; i < rows; ++i) {
        const bool as_streams = rows <= kStreamRows || i + 1 == rows;   // a large batch is mostly a prompt, whose rows need no logits
        batch_.push_back(BatchRow{.token = 0, .position = static_cast<int32_t>(i), .slot = opened.slot, .wants_logits = as_streams});
    }
    const SteadyTime started = clock_.steady();
    runner_.set_threads(governor_.threads());
    const Result<ForwardOutcome> outcome = runner_.forward(batch_);
    const bool done = outcome.ok() && *outcome == ForwardOutcome::kDone;
    if (done) {
        kv_.advance(opened.slot, rows);
        learn_cost(std::chrono::duration<double, std::milli>(clock_.steady() - started).count());
    }
    kv_.close(opened.slot, false);
    return done;
}

bool EngineCore::set_asleep(bool asleep) {
    GANTRY_ASSERT(running() == 0, "only an idle engine sleeps");
    kv_.drop_parked();
    const bool done = runner_.set_asleep(asleep);
    if (done && drafter_) {
        drafter_->set_asleep(asleep);
    }
    update_gauges();
    return done;
}

void EngineCore::build_batch(const StepPlan& step_plan) {
    batch_.clear();
    for (const PlannedRows& rows : step_plan.rows) {
        const Sequence& sequence = *at(rows.slot);
        GANTRY_ASSERT(rows.rows > 0 && rows.rows <= sequence.remaining(), "a plan for rows that a sequence does not have");
        GANTRY_ASSERT(rows.drafts <= sequence.draft.size() && (rows.drafts == 0 || rows.rows == sequence.remaining()),
                      "a plan for guesses that nobody made");
        for (uint32_t i = 0; i < rows.rows + rows.drafts; ++i) {
            const uint32_t position = sequence.computed + i;
            batch_.push_back(BatchRow{.token = i < rows.rows ? sequence.tokens[position] : sequence.draft[i - rows.rows],
                                      .position = static_cast<int32_t>(position),
                                      .slot = rows.slot,
                                      .wants_logits = position + 1 >= sequence.length()});
        }
        last_row_of_[static_cast<size_t>(rows.slot)] = batch_.size() - 1 - rows.drafts;
    }
}

void EngineCore::advance(const StepPlan& step_plan, SteadyTime started) {
    for (const PlannedRows& rows : step_plan.rows) {
        Sequence& sequence = *at(rows.slot);
        sequence.lowest_computed = std::min(sequence.lowest_computed, sequence.computed);
        sequence.computed += rows.rows;
        sequence.last_row_step = step_;
        kv_.advance(rows.slot, rows.rows + rows.drafts);
        if (sequence.first_row_at == SteadyTime{}) {
            sequence.first_row_at = started;
        }
    }
}

// Who gets tokens from this forward: each whose last row was in it, and each that waited for the end of an equal prompt.
void EngineCore::gather_sampled(const StepPlan& step_plan, SteadyTime started) {
    for (const PlannedRows& rows : step_plan.rows) {
        Sequence& sequence = *at(rows.slot);
        if (sequence.remaining() > 0) {
            continue;
        }
        const size_t row = last_row_of_[static_cast<size_t>(rows.slot)];
        sampled_.push_back(Sampled{.sequence = &sequence, .row = row, .drafts = rows.drafts});
        if (sequence.generated() == 0) {
            gather_followers(sequence, row, started);
        }
    }
}

// At the end of an equal prompt they share all of it and draw from the same row, each with its own parameters.
void EngineCore::gather_followers(const Sequence& leader, size_t row, SteadyTime started) {
    for (Sequence* follower : by_slot_) {
        if (follower && follower->following && follower->following->leader == leader.id && follower->following->whole &&
            kv_.share(leader.slot, follower->slot, leader.prompt_tokens)) {
            follower->following.reset();
            take_prefix(*follower, leader.prompt_tokens);
            follower->first_row_at = std::min(follower->first_row_at, std::max(started, follower->submitted_at));
            sampled_.push_back(Sampled{.sequence = follower, .row = row});
        }
    }
}

void EngineCore::forward_failed(const Error& error, const StepPlan& step_plan) {
    log::error("a forward pass of {} rows failed: {}", batch_.size(), error.message);
    // kInternal is the library's own state gone wrong; once may be one sequence's fault, again and again is not.
    failures_in_row_ = error.code == ErrorCode::kInternal ? failures_in_row_ + 1 : 0;
    GANTRY_ASSERT(failures_in_row_ < kFailuresMax, "the model runner fails again and again");
    std::vector<Sequence*> affected;
    for (const PlannedRows& rows : step_plan.rows) {
        affected.push_back(at(rows.slot));
    }
    for (Sequence* sequence : affected) {
        TokenEvent event;
        event.error = error.message;
        end(*sequence, std::move(event), FinishReason::kError);
    }
}

// The runner has fewer cells than it said, for instance because a sliding window pins some.
void EngineCore::forward_lacked_space() {
    if (kv_.drop_parked()) {
        return;
    }
    Sequence* youngest = youngest_running();
    if (running() > 1) {
        preempt(*youngest);
        return;
    }
    if (++no_space_in_row_ < kNoSpaceMax) {
        return;
    }
    no_space_in_row_ = 0;
    if (youngest->generated() > 0) {
        end(*youngest, TokenEvent{}, FinishReason::kLength);
        return;
    }
    TokenEvent event;
    event.error = fmt::format("the prompt of {} tokens does not fit the memory kept for contexts: shorten it, or deploy the model "
                              "with a larger context", youngest->prompt_tokens);
    end(*youngest, std::move(event), FinishReason::kError);
}

Sequence* EngineCore::youngest_running() const {
    Sequence* youngest = nullptr;
    for (Sequence* sequence : by_slot_) {
        if (sequence && (!youngest || sequence->id > youngest->id)) {
            youngest = sequence;
        }
    }
    return youngest;
}

// --- what others may ask -----------------------------------------------------------------------------------------------

EngineStats EngineCore::stats() const {
    EngineStats stats;
    stats.waiting = static_cast<uint32_t>(waiting_.size());
    stats.running = running();
    stats.kv_cells_used = kv_.cells_used();
    stats.kv_cells_cached = kv_.cells_parked();
    stats.kv_cells = capacity_.context_tokens;
    stats.prompt_tokens_total = prompt_tokens_total_;
    stats.cached_tokens_total = cached_tokens_total_;
    stats.drafted_tokens_total = drafted_tokens_total_;
    stats.accepted_tokens_total = accepted_tokens_total_;
    stats.generated_tokens_total = generated_tokens_total_;
    stats.preemptions_total = preemptions_total_;
    stats.steps_total = step_;
    stats.last_step_ms = last_step_ms_;
    return stats;
}

void EngineCore::update_gauges() {
    metrics_->threads.Set(governor_.threads());
    const auto share_of_cells = [&](uint64_t cells) { return static_cast<double>(cells) / capacity_.context_tokens; };
    metrics_->running.Set(static_cast<double>(running()));
    metrics_->waiting.Set(static_cast<double>(waiting_.size()));
    metrics_->kv_usage.Set(share_of_cells(kv_.cells_used()));
    metrics_->cached_cells.Set(share_of_cells(kv_.cells_parked()));
    metrics_->evicted_cells.Increment(static_cast<double>(kv_.cells_evicted_total()) - metrics_->evicted_cells.Value());
}

}  // namespace gantry::engine
