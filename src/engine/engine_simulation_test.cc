// The simulation: random arrivals, lengths, cancels, errors, aborts and tiny contexts against the fake model, one step at a time,
// everything drawn from one seed. After each step the invariants are checked; at the end every sequence must have got what it
// would have got alone. GANTRY_SIM_SEED=n replays one seed, GANTRY_SLOW_TESTS=1 runs 5,000. For each invariant a planted bug shows that it fires.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <random>

#include "base/log.h"
#include "engine/engine_core.h"
#include "engine/fake_runner.h"

namespace gantry::engine {

// Reaches into the engine to plant bugs.
struct EngineCorePeer {
    static uint64_t evicted(const EngineCore& core) { return core.kv_.cells_evicted_total(); }
    static void leak_cells(EngineCore& core) { core.kv_.ledger_.append(0, 1); }
    static bool use_slot_twice(EngineCore& core) {
        Sequence* sequence = nullptr;
        for (Sequence* one : core.by_slot_) {
            sequence = one && !sequence ? one : sequence;
        }
        const auto free_slot = std::find(core.by_slot_.begin(), core.by_slot_.end(), nullptr);
        if (!sequence || free_slot == core.by_slot_.end()) {
            return false;
        }
        *free_slot = sequence;
        return true;
    }
    static bool lose_waiting(EngineCore& core) {
        if (core.waiting_.empty()) {
            return false;
        }
        core.waiting_.pop_back();
        return true;
    }
    static bool swap_waiting(EngineCore& core) {
        if (core.waiting_.size() < 2) {
            return false;
        }
        std::swap(core.waiting_[0], core.waiting_[1]);
        return true;
    }
    static Sequence* generating(EngineCore& core) {
        for (Sequence* sequence : core.by_slot_) {
            if (sequence && sequence->generated() > 0) {
                return sequence;
            }
        }
        return nullptr;
    }
    static bool publish_twice(EngineCore& core) {
        Sequence* sequence = generating(core);
        if (sequence) {
            TokenEvent event;
            event.token = sequence->tokens.back();
            core.emit(*sequence, std::move(event));
        }
        return sequence != nullptr;
    }
    static bool end_twice(EngineCore& core) {
        Sequence* sequence = generating(core);
        if (sequence) {
            TokenEvent event;
            event.finish = FinishReason::kStop;
            core.emit(*sequence, std::move(event));
        }
        return sequence != nullptr;
    }
    static bool forget_preempted_token(EngineCore& core) {
        for (Sequence* sequence : core.waiting_) {
            if (sequence->generated() > 0) {
                sequence->tokens.pop_back();
                return true;
            }
        }
        return false;
    }
    static bool misfile_parked(EngineCore& core) {   // parked cells under the tokens that many prompts begin with
        for (Slot slot = 0; slot < static_cast<Slot>(core.by_slot_.size()); ++slot) {
            if (core.kv_.parked(slot) && core.kv_.length(slot) > 8) {
                const uint32_t length = core.kv_.length(slot);
                std::vector<TokenId> path(length);
                for (uint32_t i = 0; i < length; ++i) {
                    path[i] = static_cast<TokenId>((i * 7 + 5) % 61);
                }
                if (core.kv_.cache_.path(slot) == path) {
                    continue;
                }
                core.kv_.cache_.remove(slot);
                core.kv_.cache_.insert(slot, {}, path);
                return true;
            }
        }
        return false;
    }
    static bool park_what_runs(EngineCore& core) {
        for (size_t slot = 0; slot < core.by_slot_.size(); ++slot) {
            if (core.by_slot_[slot] && core.by_slot_[slot]->computed > 0) {
                core.kv_.ledger_.pin(static_cast<Slot>(slot), false);
                return true;
            }
        }
        return false;
    }
    static bool lose_a_path_token(EngineCore& core) {
        Sequence* sequence = generating(core);
        if (sequence) {
            core.kv_.cache_.truncate(sequence->slot, sequence->length() - 1);
        }
        return sequence != nullptr;
    }
    static bool accept_a_wrong_guess(EngineCore& core) {
        Sequence* sequence = generating(core);
        if (sequence) {
            sequence->tokens.back() = (sequence->tokens.back() + 1) % 61;
            core.kv_.cache_.truncate(sequence->slot, sequence->length() - 1);
            core.kv_.cache_.append(sequence->slot, sequence->tokens.back());
        }
        return sequence != nullptr;
    }
    static bool follow_oneself(EngineCore& core) {
        Sequence* sequence = generating(core);
        if (sequence) {
            sequence->following = Following{.leader = sequence->id, .slot = sequence->slot, .length = 4};
        }
        return sequence != nullptr;
    }
    static bool compute_ahead(EngineCore& core) {
        Sequence* sequence = generating(core);
        if (sequence) {
            sequence->computed += 1;
        }
        return sequence != nullptr;
    }
};

namespace {

struct SimOptions {
    uint64_t seed = 1;
    const BatchPlanner* planner = nullptr;              // null: the real one
    bool bug_loses_a_row = false, bug_shares_wrong_cells = false, bug_keeps_cells = false, bug_keeps_guesses = false;
    std::function<bool(EngineCore&)> plant{};           // tried before every step until it says true
};

// Guesses that are right, wrong, or right at first: what comes next is known of the fake model when it is greedy.
class SimulatedDrafter final : public Drafter {
public:
    explicit SimulatedDrafter(std::mt19937_64& random) : random_(random) {}
    void propose(std::span<DraftRequest> requests) override {
        for (DraftRequest& request : requests) {
            std::vector<TokenId> tokens(request.tokens.begin(), request.tokens.end());
            for (uint64_t n = std::min<uint64_t>(random_() % 5, request.most); n > 0; --n) {
                const std::vector<float> logits = FakeRunner::logits_after(tokens, 61);
                const auto best = static_cast<TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin());
                tokens.push_back(random_() % 4 == 0 ? static_cast<TokenId>(random_() % 61) : best);
                request.draft.push_back(tokens.back());
            }
        }
    }
    void forget(Slot) override {}

private:
    std::mt19937_64& random_;
};

// The real planner, and as many guesses as there is room for.
class DraftingPlanner final : public BatchPlanner {
public:
    StepPlan plan(const StepState& state) const override {
        StepPlan plan = BatchPlanner::plan(state);
        uint32_t rows = 0;
        for (const PlannedRows& planned : plan.rows) {
            rows += planned.rows + planned.drafts;
        }
        uint32_t room = std::min(state.rows_max, state.free_cells) - rows;
        for (PlannedRows& planned : plan.rows) {
            const auto view = std::find_if(state.running.begin(), state.running.end(),
                                           [&](const RunningView& one) { return one.slot == planned.slot; });
            if (planned.rows == 1 && view->remaining == 1 && planned.drafts == 0) {
                planned.drafts = std::min(view->drafted, room);
                room -= planned.drafts;
            }
        }
        return plan;
    }
};

class Simulation {
public:
    explicit Simulation(const SimOptions& options) : options_(options), random_(options.seed * 0x9e3779b97f4a7c15ull + 1) {}

    // The first violation, or nothing.
    std::optional<std::string> run() {
        setup();
        const DraftingPlanner drafting;
        SimulatedDrafter drafter(random_);
        EngineConfig config;
        config.step_tokens_max = pick(8, 64);
        config.cache_cells = chance(30) ? pick(0, 100) : 1000;
        runner_ = std::make_unique<FakeRunner>(fake_);
        EngineCore core(EngineCoreParts{.runner = *runner_, .clock = clock_, .planner = options_.planner ? *options_.planner : drafting,
                                        .drafter = chance(60) ? &drafter : nullptr}, config);
        const uint32_t arrivals_end = pick(50, 250);
        bool planted = !options_.plant;
        uint32_t quiet_steps = 0;
        for (uint32_t step = 0; step < arrivals_end || core.has_work(); ++step) {
            if (step < arrivals_end) {
                for (uint32_t n = chance(30) ? pick(1, 4) : 0; n > 0; --n) {
                    arrive(core);
                }
                if (!requests_.empty() && chance(8)) {
                    const auto id = static_cast<SequenceId>(pick(1, static_cast<uint32_t>(requests_.size())));
                    core.cancel(id);
                    records_[id - 1].cancelled = true;
                }
            } else if (++quiet_steps > 20000) {
                return "waiting: sequences are still open 20000 steps after the last arrival";
            }
            planted = planted || options_.plant(core);
            core.step();
            clock_.advance(std::chrono::milliseconds(1));
            if (auto broken = check(core)) {
                return fmt::format("step {}: {}", step, *broken);
            }
        }
        return check_ends();
    }

    uint64_t preemptions = 0;
    uint64_t shared = 0;
    uint64_t evicted = 0;
    uint64_t accepted = 0;
    uint64_t expired = 0;

private:
    struct Record {
        std::vector<TokenId> tokens;
        std::optional<FinishReason> finish;
        bool cancelled = false;
        bool expired = false;
    };

    uint32_t pick(uint32_t from, uint32_t to) { return from + static_cast<uint32_t>(random_() % (to - from + 1)); }
    bool chance(uint32_t percent) { return pick(1, 100) <= percent; }

    void setup() {
        fake_.capacity = RunnerCapacity{.context_tokens = pick(24, 300), .slots = pick(1, 9), .batch_rows = pick(4, 64), .vocabulary = 61};
        fake_.capacity.running = chance(50) ? 0 : pick(1, fake_.capacity.slots);
        fake_.capacity.sharing = chance(70) ? PrefixSharing::kAny : chance(70) ? PrefixSharing::kWhole : PrefixSharing::kNone;
        fake_.end_tokens = {3};
        fake_.can_share = chance(80);
        fake_.bug_loses_a_row = options_.bug_loses_a_row;
        fake_.bug_shares_wrong_cells = options_.bug_shares_wrong_cells;
        fake_.bug_keeps_cells = options_.bug_keeps_cells;
        fake_.bug_keeps_guesses = options_.bug_keeps_guesses;
        const bool troubled = chance(50);
        fake_.on_forward = [this, troubled](const Batch& batch) -> std::optional<Result<ForwardOutcome>> {
            clock_.advance(std::chrono::milliseconds(1 + batch.size() / 2));
            const uint32_t dice = pick(1, 200);
            if (!troubled || dice > 16) {
                return std::nullopt;
            }
            if (dice == 1) {
                return Result<ForwardOutcome>(Error{ErrorCode::kInvalidArgument, "planned trouble", {}, {}});
            }
            return Result<ForwardOutcome>(dice <= 8 ? ForwardOutcome::kAborted : ForwardOutcome::kNoSpace);
        };
        fake_.on_logits = [this, troubled](Slot, std::vector<float>& logits) {
            if (troubled && pick(1, 500) == 1) {
                logits[pick(0, 60)] = std::numeric_limits<float>::quiet_NaN();
            }
        };
        troubled_ = troubled;
        common_prompt_ = pick(1, 40);
    }

    void arrive(EngineCore& core) {
        SequenceRequest request;
        const uint32_t longest = fake_.capacity.context_tokens - 1;
        const bool common = chance(40);
        const uint32_t length = std::min(common ? common_prompt_ : chance(10) ? pick(1, longest) : pick(1, 30), longest);
        // Equal prompts, prompts with a beginning in common, and the next turn of somebody's chat.
        const uint32_t alike = common ? length : chance(30) ? pick(1, length) : 0;
        for (uint32_t i = 0; i < length; ++i) {
            request.prompt.push_back(static_cast<TokenId>(i < alike ? (i * 7 + 5) % 61 : pick(0, 60)));
        }
        if (!records_.empty() && chance(15)) {
            const size_t before = pick(0, static_cast<uint32_t>(records_.size()) - 1);
            std::vector<TokenId> history = requests_[before].prompt;
            history.insert(history.end(), records_[before].tokens.begin(), records_[before].tokens.end());
            history.insert(history.end(), {7, 8, 9});
            if (history.size() < longest) {
                request.prompt = history;
            }
        }
        request.max_tokens = chance(5) ? 0 : pick(1, 40);
        request.priority = chance(70) ? Priority::kNormal : chance(50) ? Priority::kHigh : Priority::kBatch;
        request.cache_salt = chance(20) ? "other" : "";
        if (chance(10)) {
            request.deadline = Deadline::at(clock_.steady() + std::chrono::milliseconds(pick(1, 300)));
        }
        SamplingParams& sampling = request.sampling;
        sampling.seed = random_();
        sampling.temperature = chance(30) ? 0.0f : 0.8f;
        sampling.top_k = chance(30) ? 10 : 0;
        sampling.top_p = chance(30) ? 0.9f : 1.0f;
        sampling.repetition_penalty = chance(20) ? 1.2f : 1.0f;
        sampling.frequency_penalty = chance(20) ? 0.5f : 0.0f;
        sampling.ignore_eos = chance(40);
        sampling.min_tokens = chance(20) ? 5 : 0;
        sampling.stop_token_ids = chance(20) ? std::vector<TokenId>{9} : std::vector<TokenId>{};
        requests_.push_back(request);
        records_.emplace_back();
        const size_t index = requests_.size() - 1;
        request.on_event = [this, index](const TokenEvent& event) { take(index, event); };
        core.submit(index + 1, std::move(request), clock_.steady());
    }

    void take(size_t index, const TokenEvent& event) {
        Record& record = records_[index];
        const auto complain = [&](const char* what) { violation_ = fmt::format("published: sequence {} {}", index + 1, what); };
        if (record.finish) {
            complain("got an event after its end");
        }
        if (event.token) {
            record.tokens.push_back(*event.token);
        } else if (!event.finish) {
            complain("got an event without a token or an end");
        }
        if (event.completion_tokens != record.tokens.size()) {
            complain("got a token twice, or not at all");
        }
        if (event.cached_tokens > event.prompt_tokens || event.prompt_tokens != requests_[index].prompt.size()) {
            complain("was told wrong numbers");
        }
        if (event.finish) {
            record.finish = event.finish;
            if ((*event.finish == FinishReason::kError) == event.error.empty()) {
                complain("ended with an error and no text, or the reverse");
            }
            shared += event.cached_tokens > 0 ? 1 : 0;
            record.expired = event.error_code == ErrorCode::kDeadlineExceeded;
            expired += record.expired ? 1 : 0;
            if (record.expired && !requests_[index].deadline.passed(clock_.steady())) {
                complain("was ended before its deadline");
            }
        } else if (requests_[index].deadline.passed(clock_.steady() - kStepMost)) {
            complain("was computed long after its deadline");
        }
    }

    std::optional<std::string> check(const EngineCore& core) {
        preemptions = core.stats().preemptions_total;
        accepted = core.stats().accepted_tokens_total;
        evicted = EngineCorePeer::evicted(core);
        if (auto broken = core.check_integrity()) {
            return broken;
        }
        if (core.stats().kv_cells_used != runner_->cells_used()) {
            return fmt::format("cells: {} are booked, the runner holds {}", core.stats().kv_cells_used, runner_->cells_used());
        }
        return violation_;
    }

    std::optional<std::string> check_ends() const {
        for (size_t i = 0; i < requests_.size(); ++i) {
            const Record& record = records_[i];
            if (!record.finish) {
                return fmt::format("lost: sequence {} never ended", i + 1);
            }
            const FakeRunner::Expected expected = FakeRunner::expected(requests_[i], fake_);
            const bool whole = *record.finish == FinishReason::kStop || *record.finish == FinishReason::kLength;
            const bool prefix = record.tokens.size() <= expected.tokens.size() &&
                                std::equal(record.tokens.begin(), record.tokens.end(), expected.tokens.begin());
            // In trouble a sequence alone may be told early that no space is left.
            const bool cut = troubled_ && *record.finish == FinishReason::kLength;
            if (!prefix || (whole && !cut && (record.tokens.size() != expected.tokens.size() || *record.finish != expected.finish))) {
                return fmt::format("tokens: sequence {} got {} tokens and end {}, but alone it gets {} and {}", i + 1, record.tokens.size(),
                                   static_cast<int>(*record.finish), expected.tokens.size(), static_cast<int>(expected.finish));
            }
            if (!whole && !record.cancelled && !record.expired && !troubled_) {
                return fmt::format("ends: sequence {} ended with an error or a cancel that nobody asked for", i + 1);
            }
        }
        return std::nullopt;
    }

    static constexpr std::chrono::milliseconds kStepMost{100};
    SimOptions options_;
    std::mt19937_64 random_;
    FakeClock clock_;
    FakeRunnerOptions fake_;
    std::unique_ptr<FakeRunner> runner_;
    bool troubled_ = false;
    uint32_t common_prompt_ = 1;
    std::vector<SequenceRequest> requests_;
    std::vector<Record> records_;
    std::optional<std::string> violation_;
};

TEST(EngineSimulation, InvariantsHoldForManySeeds) {
    log::Options quiet;
    quiet.to_stderr = false;
    log::start(quiet);   // planned trouble is logged, rightly, and would drown the rest
    const uint64_t past_finds[] = {625};   // two that waited for each other, one of them put back and here again
    uint64_t first = 1, last = std::getenv("GANTRY_SLOW_TESTS") ? 5000 : 200;
    if (const char* seed = std::getenv("GANTRY_SIM_SEED")) {
        first = last = std::strtoull(seed, nullptr, 10);
    }
    uint64_t preemptions = 0, shared = 0, evicted = 0, accepted = 0, expired = 0;
    for (uint64_t seed = first; seed <= last; ++seed) {
        Simulation simulation(SimOptions{.seed = seed});
        const auto violation = simulation.run();
        ASSERT_FALSE(violation.has_value()) << *violation << "\nreplay: GANTRY_SIM_SEED=" << seed;
        preemptions += simulation.preemptions;
        shared += simulation.shared;
        evicted += simulation.evicted;
        accepted += simulation.accepted;
        expired += simulation.expired;
    }
    for (const uint64_t seed : past_finds) {
        const auto violation = Simulation(SimOptions{.seed = seed}).run();
        EXPECT_FALSE(violation.has_value()) << *violation << "\nreplay: GANTRY_SIM_SEED=" << seed;
    }
    if (first != last) {
        EXPECT_GT(evicted, 1000u) << "the simulation no longer fills the cache";
        EXPECT_GT(accepted, 1000u) << "the simulation no longer guesses";
        EXPECT_GT(expired, 20u) << "the simulation no longer runs into deadlines";
        EXPECT_GT(preemptions, 100u) << "the simulation no longer runs out of cells";
        EXPECT_GT(shared, 100u) << "the simulation no longer shares prefixes";
    }
}

// The first violation over some seeds; a bug may need luck to show.
std::string first_violation(SimOptions options) {
    for (uint64_t seed = 1; seed <= 60; ++seed) {
        options.seed = seed;
        if (auto violation = Simulation(options).run()) {
            return *violation;
        }
    }
    return "none";
}

#define EXPECT_FIRES(options, word) EXPECT_NE(first_violation(options).find(word), std::string::npos) << first_violation(options)

TEST(PlantedBug, ARowThatIsLostShowsInTheTokens) { EXPECT_FIRES((SimOptions{.bug_loses_a_row = true}), "tokens:"); }
TEST(PlantedBug, AWrongSharedCellShowsInTheTokensOrWhenCellsAreFreed) {
    EXPECT_THAT(first_violation(SimOptions{.bug_shares_wrong_cells = true}), ::testing::ContainsRegex("tokens:|cells:"));
}
TEST(PlantedBug, CellsThatAreNotFreedAreMissed) { EXPECT_FIRES((SimOptions{.bug_keeps_cells = true}), "cells:"); }
TEST(PlantedBug, AGuessThatIsKeptIsMissed) { EXPECT_FIRES((SimOptions{.bug_keeps_guesses = true}), "cells:"); }
TEST(PlantedBug, AWrongGuessThatIsAcceptedShowsInTheTokens) {
    EXPECT_FIRES((SimOptions{.plant = EngineCorePeer::accept_a_wrong_guess}), "tokens:");
}
TEST(PlantedBug, CellsUnderAWrongPathShowInTheTokens) { EXPECT_FIRES((SimOptions{.plant = EngineCorePeer::misfile_parked}), "tokens:"); }
TEST(PlantedBug, ALeakInTheBooksIsFound) {
    EXPECT_FIRES((SimOptions{.plant = [](EngineCore& core) { EngineCorePeer::leak_cells(core); return true; }}), "cells:");
}
TEST(PlantedBug, ALostSequenceIsFound) { EXPECT_FIRES((SimOptions{.plant = EngineCorePeer::lose_waiting}), "lost:"); }
TEST(PlantedBug, APublishedTokenTwiceIsFound) { EXPECT_FIRES((SimOptions{.plant = EngineCorePeer::publish_twice}), "published:"); }
TEST(PlantedBug, AnEndTwiceIsFound) { EXPECT_FIRES((SimOptions{.plant = EngineCorePeer::end_twice}), "published:"); }
TEST(PlantedBug, AForgottenTokenAfterPreemptionIsFound) {
    EXPECT_FIRES((SimOptions{.plant = EngineCorePeer::forget_preempted_token}), "published:");
}

// These corrupt what a step would trip over, so the state is asked directly, between two steps.
class BrokenState : public ::testing::Test {
protected:
    BrokenState() : runner_(FakeRunnerOptions{.capacity = {.context_tokens = 200, .slots = 2, .batch_rows = 64, .vocabulary = 61}}),
                    core_(EngineCoreParts{runner_, clock_, planner_}, EngineConfig{}) {}
    void submit(SequenceId id) {
        SequenceRequest request;
        request.prompt.assign(20 + id, 5);
        request.max_tokens = 30;
        core_.submit(id, std::move(request), clock_.steady());
    }
    std::string broken() const { return core_.check_integrity().value_or("none"); }
    FakeClock clock_;
    BatchPlanner planner_;
    FakeRunner runner_;
    EngineCore core_;
};
TEST_F(BrokenState, ASlotUsedTwiceIsFound) {
    submit(1);
    core_.step();
    ASSERT_EQ(broken(), "none");
    ASSERT_TRUE(EngineCorePeer::use_slot_twice(core_));
    EXPECT_NE(broken().find("slots:"), std::string::npos);
}
TEST_F(BrokenState, AWaitingLineOutOfOrderIsFound) {
    for (SequenceId id = 1; id <= 4; ++id) {
        submit(id);
    }
    core_.step();
    ASSERT_EQ(broken(), "none");
    ASSERT_TRUE(EngineCorePeer::swap_waiting(core_));
    EXPECT_NE(broken().find("order:"), std::string::npos);
}
TEST_F(BrokenState, ASequenceAheadOfItsCellsIsFound) {
    submit(1);
    core_.step();
    ASSERT_TRUE(EngineCorePeer::compute_ahead(core_));
    EXPECT_NE(broken().find("cells:"), std::string::npos);
}

TEST_F(BrokenState, ARunningSlotThatIsParkedIsFound) {
    submit(1);
    core_.step();
    ASSERT_TRUE(EngineCorePeer::park_what_runs(core_));
    EXPECT_NE(broken().find("slots:"), std::string::npos) << broken();
}
TEST_F(BrokenState, APathThatLacksATokenIsFound) {
    submit(1);
    core_.step();
    ASSERT_TRUE(EngineCorePeer::lose_a_path_token(core_));
    EXPECT_NE(broken().find("prefixes:"), std::string::npos) << broken();
}
TEST_F(BrokenState, AFollowerThatNeedsNobodyIsFound) {
    submit(1);
    core_.step();
    ASSERT_TRUE(EngineCorePeer::follow_oneself(core_));
    EXPECT_NE(broken().find("prefixes:"), std::string::npos) << broken();
}

// Planners with a fault.
class StarvingPlanner : public BatchPlanner {
public:
    StepPlan plan(const StepState& state) const override {
        StepState others = state;
        const auto oldest = std::min_element(others.running.begin(), others.running.end(),
                                             [](const RunningView& a, const RunningView& b) { return a.id < b.id; });
        if (others.running.size() > 1) {
            others.running.erase(oldest);
            StepPlan plan = BatchPlanner::plan(others);
            return plan.rows.empty() && !plan.preempt ? BatchPlanner::plan(state) : plan;
        }
        return BatchPlanner::plan(state);
    }
};
TEST(PlantedBug, AStarvedSequenceIsFound) {
    const StarvingPlanner planner;
    FakeClock clock;
    FakeRunner runner(FakeRunnerOptions{.capacity = {.context_tokens = 100, .slots = 2, .batch_rows = 64, .vocabulary = 61}});
    EngineCore core(EngineCoreParts{runner, clock, planner}, EngineConfig{});
    std::string violation = "none";
    for (SequenceId id = 1; id < 400 && violation == "none"; ++id) {
        SequenceRequest request;
        request.prompt = {1, static_cast<TokenId>(id % 61)};
        request.max_tokens = 4;
        core.submit(id, std::move(request), clock.steady());
        core.step();
        core.step();
        violation = core.check_integrity().value_or("none");
    }
    EXPECT_NE(violation.find("waiting:"), std::string::npos) << violation;
}

class DoublingPlanner : public BatchPlanner {
public:
    StepPlan plan(const StepState& state) const override {
        StepPlan plan = BatchPlanner::plan(state);
        if (!plan.rows.empty()) {
            plan.rows.push_back(plan.rows.front());
        }
        return plan;
    }
};
TEST(PlantedBugDeathTest, ARowPlannedTwiceBreaksTheRunnersContract) {
    const DoublingPlanner planner;
    EXPECT_DEATH((void)Simulation(SimOptions{.seed = 1, .planner = &planner}).run(), "positions go on|stand together|batch of 1");
}

class PreemptsNobody : public BatchPlanner {
public:
    StepPlan plan(const StepState& state) const override {
        StepPlan plan = BatchPlanner::plan(state);
        plan.preempt.reset();
        return plan;
    }
};
TEST(PlantedBugDeathTest, AStandstillIsABug) {
    const PreemptsNobody planner;
    EXPECT_DEATH((void)first_violation(SimOptions{.planner = &planner}), "nothing can be computed");
}

}  // namespace
}  // namespace gantry::engine
