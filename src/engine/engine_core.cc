#include "engine/engine_core.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.h"
#include "base/log.h"
#include "base/metrics.h"

namespace gantry::engine {

// Looked up once; the step only touches atomics.
struct EngineCore::Metrics {
    prometheus::Histogram& admit = verb("admit");
    prometheus::Histogram& plan = verb("plan");
    prometheus::Histogram& forward = verb("forward");
    prometheus::Histogram& sample = verb("sample");
    prometheus::Histogram& publish = verb("publish");
    prometheus::Gauge& running = metrics::gauge("gantry_engine_sequences_running", "Sequences that hold a slot.");
    prometheus::Gauge& waiting = metrics::gauge("gantry_engine_sequences_waiting", "Sequences that wait for admission.");
    prometheus::Gauge& kv_usage = metrics::gauge("gantry_engine_kv_usage_ratio", "Share of the KV cells in use, 0 to 1.");
    prometheus::Counter& prompt_tokens = metrics::counter("gantry_engine_prompt_tokens_total", "Prompt tokens taken in.");
    prometheus::Counter& generated_tokens = metrics::counter("gantry_engine_generated_tokens_total", "Tokens published.");
    prometheus::Counter& preemptions =
        metrics::counter("gantry_engine_preemptions_total", "Sequences put back because KV cells ran out.");

    static prometheus::Histogram& verb(const std::string& name) {
        return metrics::seconds("gantry_engine_step_seconds", "Time of an engine step, by its five verbs.", {{"verb", name}});
    }
};

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

constexpr uint32_t kFailuresMax = 2;   // of the library itself, in a row: then this process cannot be trusted
constexpr uint32_t kNoSpaceMax = 3;    // refusals in a row with one sequence alone

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
      config_(config),
      capacity_(parts.runner.capacity()),
      by_slot_(capacity_.slots, nullptr),
      ledger_(capacity_.slots),
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
    sequence->prompt_hash = hash_tokens(sequence->tokens);
    sequence->request = std::move(request);
    sequence->request.prompt.clear();
    sequence->submitted_at = submitted_at;
    if (needs_counts(sequence->request.sampling)) {
        for (TokenId token : sequence->tokens) {
            sequence->counts.try_emplace(token, 0);
        }
    }
    waiting_.push_back(sequence.get());
    ++never_admitted_;
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

// --- admit -------------------------------------------------------------------------------------------------------------

void EngineCore::admit() {
    while (!waiting_.empty()) {
        Sequence& candidate = *waiting_.front();
        AdmissionState state;
        state.free_slots = static_cast<uint32_t>(std::count(by_slot_.begin(), by_slot_.end(), nullptr));
        state.running = capacity_.slots - state.free_slots;
        state.cells = capacity_.context_tokens;
        state.free_cells = capacity_.context_tokens - ledger_.cells_used();
        state.promised_cells = promised_cells();
        state.needed_cells = candidate.length() - (prefix_holder(candidate) ? candidate.prompt_tokens - 1 : 0);
        if (!planner_.admits(state)) {
            break;
        }
        waiting_.pop_front();
        place(candidate);
    }
    join_prefixes();
}

void EngineCore::place(Sequence& sequence) {
    const auto free_slot = std::find(by_slot_.begin(), by_slot_.end(), nullptr);
    GANTRY_ASSERT(free_slot != by_slot_.end(), "the planner admits only into a free slot");
    *free_slot = &sequence;
    sequence.slot = static_cast<Slot>(free_slot - by_slot_.begin());
    if (sequence.admitted_step == 0) {
        --never_admitted_;
    }
    sequence.admitted_step = step_;
    sequence.last_row_step = step_;
}

// What running prefills will still take. A follower takes its prefix from another one, so only its last tokens count.
uint32_t EngineCore::promised_cells() const {
    uint32_t cells = 0;
    for (const Sequence* sequence : by_slot_) {
        if (sequence) {
            const bool shares = sequence->computed == 0 && prefix_holder(*sequence) != nullptr;
            cells += sequence->remaining() - (shares ? sequence->prompt_tokens - 1 : 0);
        }
    }
    return cells;
}

// The running sequence with the same prompt that has computed most of it, or is about to: an older one. Found anew each time, so
// when the one that leads is cancelled or preempted the next one simply leads.
Sequence* EngineCore::prefix_holder(const Sequence& sequence) const {
    if (!can_share_ || sequence.prompt_tokens < 2) {
        return nullptr;
    }
    Sequence* best = nullptr;
    for (Sequence* other : by_slot_) {
        if (!other || other == &sequence || other->prompt_hash != sequence.prompt_hash ||
            other->prompt_tokens != sequence.prompt_tokens || (other->computed == 0 && other->id > sequence.id) ||
            !std::equal(other->tokens.begin(), other->tokens.begin() + other->prompt_tokens, sequence.tokens.begin())) {
            continue;
        }
        if (!best || other->computed > best->computed || (other->computed == best->computed && other->id < best->id)) {
            best = other;
        }
    }
    return best;
}

// Equal prompts cost one prefill. All but the last token is shared, so that the follower computes its own logits.
void EngineCore::join_prefixes() {
    for (Sequence* sequence : by_slot_) {
        if (!sequence || sequence->computed > 0) {
            continue;
        }
        Sequence* holder = prefix_holder(*sequence);
        sequence->follows = holder != nullptr;
        const uint32_t length = sequence->prompt_tokens - 1;
        if (holder && holder->computed >= length && take_prefix(*holder, *sequence, length)) {
            sequence->follows = false;
        }
    }
    if (!can_share_) {
        for (Sequence* sequence : by_slot_) {
            if (sequence) {
                sequence->follows = false;
            }
        }
    }
}

bool EngineCore::take_prefix(Sequence& from, Sequence& to, uint32_t length) {
    if (!runner_.share_prefix(from.slot, to.slot, static_cast<int32_t>(length))) {
        can_share_ = false;   // this kind of memory never can
        return false;
    }
    ledger_.share(from.slot, to.slot, length);
    to.computed = length;
    to.last_row_step = step_;
    if (to.first_row_at == SteadyTime{}) {
        to.first_row_at = clock_.steady();
    }
    return true;
}

// --- plan --------------------------------------------------------------------------------------------------------------

StepPlan EngineCore::plan() {
    for (;;) {
        StepPlan step_plan = planner_.plan(step_state());
        if (!step_plan.preempt) {
            return step_plan;
        }
        preempt(*by_slot_[static_cast<size_t>(*step_plan.preempt)]);
        join_prefixes();   // whoever followed it needs another one to follow, or leads now
    }
}

StepState EngineCore::step_state() const {
    StepState state;
    for (const Sequence* sequence : by_slot_) {
        if (sequence) {
            state.running.push_back(RunningView{.slot = sequence->slot,
                                                .id = sequence->id,
                                                .computed = sequence->computed,
                                                .remaining = sequence->remaining(),
                                                .follows = sequence->follows,
                                                .generates = sequence->generated() > 0,
                                                .steps_running = step_ - sequence->admitted_step,
                                                .steps_idle = step_ - sequence->last_row_step});
        }
    }
    state.free_cells = capacity_.context_tokens - ledger_.cells_used();
    state.rows_max = std::min(config_.step_tokens_max, capacity_.batch_rows);
    state.step_ms_max = config_.step_ms_max;
    state.cost = &cost_;
    return state;
}

// Its tokens stay: they are computed again later, and the random numbers go on by (seed, index), so nobody sees it.
void EngineCore::preempt(Sequence& sequence) {
    ++preemptions_total_;
    metrics_->preemptions.Increment();
    leave_slot(sequence);
    const auto place = std::lower_bound(waiting_.begin(), waiting_.end(), sequence.id,
                                        [](const Sequence* other, SequenceId id) { return other->id < id; });
    waiting_.insert(place, &sequence);
}

void EngineCore::leave_slot(Sequence& sequence) {
    runner_.truncate(sequence.slot, 0);
    ledger_.release(sequence.slot);
    by_slot_[static_cast<size_t>(sequence.slot)] = nullptr;
    sequence.slot = -1;
    sequence.computed = 0;
    sequence.follows = false;
}

// --- forward -----------------------------------------------------------------------------------------------------------

bool EngineCore::forward(const StepPlan& step_plan) {
    GANTRY_ASSERT(!step_plan.rows.empty() || open_.empty(), "open sequences, but nothing can be computed");
    sampled_.clear();
    if (step_plan.rows.empty()) {
        return false;
    }
    build_batch(step_plan);
    const SteadyTime started = clock_.steady();
    if (watch_) {
        std::vector<SequenceId> ids;
        for (const PlannedRows& rows : step_plan.rows) {
            ids.push_back(by_slot_[static_cast<size_t>(rows.slot)]->id);
        }
        watch_->forward_starts(ids, step_plan.expected_ms);
    }
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
    cost_.observe(static_cast<uint32_t>(batch_.size()), ms);
    failures_in_row_ = 0;
    no_space_in_row_ = 0;
    advance(step_plan, started);
    gather_sampled(step_plan, started);
    return true;
}

void EngineCore::build_batch(const StepPlan& step_plan) {
    batch_.clear();
    for (const PlannedRows& rows : step_plan.rows) {
        const Sequence& sequence = *by_slot_[static_cast<size_t>(rows.slot)];
        GANTRY_ASSERT(rows.rows > 0 && rows.rows <= sequence.remaining(), "a plan for rows that a sequence does not have");
        for (uint32_t i = 0; i < rows.rows; ++i) {
            const uint32_t position = sequence.computed + i;
            batch_.push_back(BatchRow{.token = sequence.tokens[position],
                                      .position = static_cast<int32_t>(position),
                                      .slot = rows.slot,
                                      .wants_logits = position + 1 == sequence.length()});
        }
        last_row_of_[static_cast<size_t>(rows.slot)] = batch_.size() - 1;
    }
}

void EngineCore::advance(const StepPlan& step_plan, SteadyTime started) {
    for (const PlannedRows& rows : step_plan.rows) {
        Sequence& sequence = *by_slot_[static_cast<size_t>(rows.slot)];
        sequence.lowest_computed = std::min(sequence.lowest_computed, sequence.computed);
        sequence.computed += rows.rows;
        sequence.last_row_step = step_;
        ledger_.append(rows.slot, rows.rows);
        if (sequence.first_row_at == SteadyTime{}) {
            sequence.first_row_at = started;
        }
    }
}

// Who gets a token from this forward: each whose last row was in it, and each that followed one of those: at the end of an equal
// prompt they share all of it and draw from the same row, each with its own parameters.
void EngineCore::gather_sampled(const StepPlan& step_plan, SteadyTime started) {
    for (const PlannedRows& rows : step_plan.rows) {
        Sequence& leader = *by_slot_[static_cast<size_t>(rows.slot)];
        if (leader.remaining() > 0) {
            continue;
        }
        const size_t row = last_row_of_[static_cast<size_t>(rows.slot)];
        sampled_.push_back(Sampled{&leader, row, {}});
        if (leader.generated() > 0) {
            continue;
        }
        for (Sequence* follower : by_slot_) {
            if (follower && follower->follows && follower->generated() == 0 && prefix_holder(*follower) == &leader &&
                take_prefix(leader, *follower, leader.prompt_tokens)) {
                follower->follows = false;
                follower->first_row_at = std::min(follower->first_row_at, std::max(started, follower->submitted_at));
                sampled_.push_back(Sampled{follower, row, {}});
            }
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
        affected.push_back(by_slot_[static_cast<size_t>(rows.slot)]);
    }
    for (Sequence* sequence : affected) {
        TokenEvent event;
        event.error = error.message;
        end(*sequence, std::move(event), FinishReason::kError);
    }
}

// The runner has fewer cells than it said, for instance because a sliding window pins some.
void EngineCore::forward_lacked_space() {
    Sequence* youngest = youngest_running();
    const bool alone = std::count(by_slot_.begin(), by_slot_.end(), nullptr) + 1 == static_cast<int64_t>(by_slot_.size());
    if (!alone) {
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

// --- sample ------------------------------------------------------------------------------------------------------------

void EngineCore::sample() {
    for (Sampled& sampled : sampled_) {
        sample_one(sampled);
    }
}

void EngineCore::sample_one(Sampled& sampled) {
    Sequence& sequence = *sampled.sequence;
    const SamplingParams& params = sequence.request.sampling;
    Result<SampledToken> drawn = sampler_.sample(SampleInput{.logits = runner_.logits(sampled.row),
                                                             .params = params,
                                                             .counts = sequence.counts,
                                                             .index = sequence.generated(),
                                                             .end_tokens = end_tokens_});
    TokenEvent& event = sampled.event;
    if (!drawn) {
        event.error = drawn.error().message;
        event.finish = FinishReason::kError;
        return;
    }
    const TokenId token = drawn->token;
    const bool ends = (is_end_token(token) && !params.ignore_eos) ||
                      std::find(params.stop_token_ids.begin(), params.stop_token_ids.end(), token) != params.stop_token_ids.end();
    if (ends) {
        event.finish = FinishReason::kStop;
        return;
    }
    sequence.tokens.push_back(token);
    if (needs_counts(params)) {
        sequence.counts[token] += 1;
    }
    event.token = token;
    if (params.logprobs) {
        event.logprob = drawn->logprob;
        event.top_logprobs = std::move(drawn->top_logprobs);
    }
    const uint32_t max_tokens = sequence.request.max_tokens;
    if ((max_tokens > 0 && sequence.generated() >= max_tokens) || sequence.length() >= capacity_.context_tokens) {
        event.finish = FinishReason::kLength;
    }
}

bool EngineCore::is_end_token(TokenId token) const {
    return std::binary_search(end_tokens_.begin(), end_tokens_.end(), token);
}

// --- publish -----------------------------------------------------------------------------------------------------------

void EngineCore::publish() {
    const SteadyTime now = clock_.steady();
    for (Sampled& sampled : sampled_) {
        Sequence& sequence = *sampled.sequence;
        if (sequence.first_token_at == SteadyTime{}) {
            sequence.first_token_at = now;
            prompt_tokens_total_ += sequence.prompt_tokens;
            metrics_->prompt_tokens.Increment(sequence.prompt_tokens);
        }
        sequence.last_token_at = now;
        if (sampled.event.token) {
            ++generated_tokens_total_;
            metrics_->generated_tokens.Increment();
        }
        if (sampled.event.finish) {
            const FinishReason reason = *sampled.event.finish;
            end(sequence, std::move(sampled.event), reason);
        } else {
            emit(sequence, std::move(sampled.event));
        }
    }
    sampled_.clear();
}

void EngineCore::end(Sequence& sequence, TokenEvent event, FinishReason reason) {
    event.finish = reason;
    if (sequence.slot >= 0) {
        leave_slot(sequence);
    } else {
        std::erase(waiting_, &sequence);
        never_admitted_ -= sequence.admitted_step == 0 ? 1 : 0;
    }
    // Out of the books before the callback, which may submit or look at the numbers.
    const std::unique_ptr<Sequence> last = std::move(open_.extract(sequence.id).mapped());
    emit(*last, std::move(event));
}

void EngineCore::emit(Sequence& sequence, TokenEvent event) {
    event.prompt_tokens = sequence.prompt_tokens;
    event.cached_tokens = sequence.cached_tokens();
    event.completion_tokens = sequence.generated();
    event.timings = timings_of(sequence, clock_.steady());
    if (sequence.request.on_event) {
        sequence.request.on_event(std::move(event));
    }
}

// --- what others may ask -----------------------------------------------------------------------------------------------

EngineStats EngineCore::stats() const {
    EngineStats stats;
    stats.waiting = static_cast<uint32_t>(waiting_.size());
    stats.running = static_cast<uint32_t>(open_.size()) - stats.waiting;
    stats.kv_cells_used = ledger_.cells_used();
    stats.kv_cells = capacity_.context_tokens;
    stats.prompt_tokens_total = prompt_tokens_total_;
    stats.generated_tokens_total = generated_tokens_total_;
    stats.preemptions_total = preemptions_total_;
    stats.steps_total = step_;
    stats.last_step_ms = last_step_ms_;
    return stats;
}

void EngineCore::update_gauges() {
    metrics_->running.Set(static_cast<double>(open_.size() - waiting_.size()));
    metrics_->waiting.Set(static_cast<double>(waiting_.size()));
    metrics_->kv_usage.Set(static_cast<double>(ledger_.cells_used()) / capacity_.context_tokens);
}

}  // namespace gantry::engine
