// The engine with its thread, on the fake model; and the core's behaviours one by one.
#include "engine/engine.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <future>
#include <latch>
#include <mutex>
#include <thread>

#include "base/metrics.h"
#include "engine/engine_core.h"
#include "engine/fake_runner.h"

namespace gantry::engine {
namespace {

using namespace std::chrono_literals;

class Collector {
public:
    std::function<void(TokenEvent)> callback() {
        return [this](TokenEvent event) {
            std::lock_guard lock(mutex_);
            if (event.token) {
                tokens.push_back(*event.token);
            }
            if (event.finish) {
                last = event;
                done_ = true;
            }
            changed_.notify_all();
        };
    }
    bool wait() {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, 30s, [this] { return done_; });
    }
    bool wait_for_tokens(size_t count) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, 30s, [&] { return tokens.size() >= count || done_; });
    }
    std::vector<TokenId> tokens;
    TokenEvent last;

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool done_ = false;
};

SequenceRequest request_of(Collector& collector, std::vector<TokenId> prompt, uint32_t max_tokens) {
    SequenceRequest request;
    request.prompt = std::move(prompt);
    request.max_tokens = max_tokens;
    request.on_event = collector.callback();
    return request;
}

TEST(Engine, GeneratesWhatTheModelSays) {
    const FakeRunnerOptions options;
    auto engine = Engine::start(std::make_unique<FakeRunner>(options), EngineConfig{});
    Collector collector;
    SequenceRequest request = request_of(collector, {1, 2, 3}, 20);
    const auto expected = FakeRunner::expected(request, options);
    ASSERT_TRUE(engine->submit(std::move(request)).ok());
    ASSERT_TRUE(collector.wait());
    EXPECT_EQ(collector.tokens, expected.tokens);
    EXPECT_EQ(collector.last.finish, FinishReason::kLength);
    EXPECT_EQ(collector.last.prompt_tokens, 3u);
    EXPECT_EQ(collector.last.completion_tokens, 20u);
    EXPECT_EQ(collector.last.cached_tokens, 0u);
    EXPECT_NE(metrics::text().find("gantry_engine_step_seconds"), std::string::npos);
}

TEST(Engine, RefusesWhatCannotWork) {
    auto engine = Engine::start(std::make_unique<FakeRunner>(FakeRunnerOptions{}), EngineConfig{});
    Collector collector;
    EXPECT_EQ(engine->submit(request_of(collector, {}, 1)).error().code, ErrorCode::kInvalidArgument);
    const auto long_prompt = engine->submit(request_of(collector, std::vector<TokenId>(256, 1), 1));
    EXPECT_EQ(long_prompt.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(long_prompt.error().message.find("256"), std::string::npos);
    EXPECT_EQ(engine->submit(request_of(collector, {61}, 1)).error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(engine->submit(request_of(collector, {-1}, 1)).error().code, ErrorCode::kInvalidArgument);
    engine->cancel(12345);   // unknown: ignored
}

// A forward that waits until the test lets it go, or the abort flag is raised.
struct Gate {
    std::mutex mutex;
    std::condition_variable changed;
    bool open = false;
    int entered = 0;
    std::atomic<bool>* abort = nullptr;
    std::optional<Result<ForwardOutcome>> pass() {
        std::unique_lock lock(mutex);
        ++entered;
        changed.notify_all();
        while (!open) {
            changed.wait_for(lock, 1ms);
            if (abort->load()) {
                return Result<ForwardOutcome>(ForwardOutcome::kAborted);
            }
        }
        return std::nullopt;
    }
    void release() {
        std::lock_guard lock(mutex);
        open = true;
        changed.notify_all();
    }
    bool wait_entered(int times) {
        std::unique_lock lock(mutex);
        return changed.wait_for(lock, 30s, [&] { return entered >= times; });
    }
};

std::unique_ptr<FakeRunner> gated_runner(Gate& gate) {
    FakeRunnerOptions options;
    options.on_forward = [&gate](const Batch&) { return gate.pass(); };
    auto runner = std::make_unique<FakeRunner>(options);
    gate.abort = &runner->abort_flag();
    return runner;
}

TEST(Engine, CancelCutsARunningForwardAndLosesNothing) {
    Gate gate;
    auto engine = Engine::start(gated_runner(gate), EngineConfig{.calibrate = false});
    Collector victim, other;
    const auto id = engine->submit(request_of(victim, std::vector<TokenId>(30, 1), 5));
    SequenceRequest kept = request_of(other, std::vector<TokenId>(40, 2), 5);
    const auto expected = FakeRunner::expected(kept, FakeRunnerOptions{});
    ASSERT_TRUE(engine->submit(std::move(kept)).ok());
    ASSERT_TRUE(gate.wait_entered(1));
    engine->cancel(*id);
    ASSERT_TRUE(victim.wait()) << "the gate is closed: only the abort can end the forward";
    EXPECT_EQ(victim.last.finish, FinishReason::kCancelled);
    gate.release();
    ASSERT_TRUE(other.wait());
    EXPECT_EQ(other.tokens, expected.tokens);
}

TEST(Engine, AFullQueueIsSaid) {
    Gate gate;
    const EngineConfig config{.queue_limit = 3, .calibrate = false};   // the gate counts forwards
    auto engine = Engine::start(gated_runner(gate), config);
    Collector first;
    ASSERT_TRUE(engine->submit(request_of(first, {1, 2}, 2)).ok());
    ASSERT_TRUE(gate.wait_entered(1));
    std::vector<std::unique_ptr<Collector>> rest;
    int accepted = 0;
    Result<SequenceId> refused = SequenceId{0};
    for (int i = 0; i < 5 && refused.ok(); ++i) {
        rest.push_back(std::make_unique<Collector>());
        refused = engine->submit(request_of(*rest.back(), {3, 4}, 2));
        accepted += refused.ok() ? 1 : 0;
    }
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, ErrorCode::kRateLimited);
    EXPECT_GE(accepted, 2);
    gate.release();
    for (int i = 0; i < accepted; ++i) {
        EXPECT_TRUE(rest[static_cast<size_t>(i)]->wait());
    }
    Collector again;
    ASSERT_TRUE(engine->submit(request_of(again, {3, 4}, 2)).ok());
    EXPECT_TRUE(again.wait());
}

TEST(Engine, StoppingEndsEverySequence) {
    Gate gate;
    Collector running, queued;
    auto engine = Engine::start(gated_runner(gate), EngineConfig{.calibrate = false});
    ASSERT_TRUE(engine->submit(request_of(running, {1, 2}, 2)).ok());
    ASSERT_TRUE(gate.wait_entered(1));
    ASSERT_TRUE(engine->submit(request_of(queued, {1, 2}, 2)).ok());
    engine.reset();   // the gate is still closed: the abort flag must open it
    EXPECT_EQ(running.last.finish, FinishReason::kCancelled);
    EXPECT_EQ(queued.last.finish, FinishReason::kCancelled);
}

TEST(Engine, ManyThreadsSubmitAndCancel) {
    auto engine = Engine::start(std::make_unique<FakeRunner>(FakeRunnerOptions{}), EngineConfig{});
    std::vector<std::unique_ptr<Collector>> collectors(80);
    std::vector<std::thread> threads;
    for (size_t t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
            for (size_t i = t; i < collectors.size(); i += 4) {
                collectors[i] = std::make_unique<Collector>();
                const auto id = engine->submit(request_of(*collectors[i], {static_cast<TokenId>(i % 60), 2, 3}, 30));
                ASSERT_TRUE(id.ok());
                if (i % 3 == 0) {
                    engine->cancel(*id);
                }
                (void)engine->stats();
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    for (size_t i = 0; i < collectors.size(); ++i) {
        ASSERT_TRUE(collectors[i]->wait()) << i;
        EXPECT_TRUE(i % 3 == 0 || collectors[i]->last.finish == FinishReason::kLength);
    }
}

// A model that says when it sleeps, and can refuse to wake.
class SleepyRunner final : public FakeRunner {
public:
    explicit SleepyRunner(std::atomic<bool>& wakes) : FakeRunner(FakeRunnerOptions{}), wakes_(wakes) {}
    bool set_asleep(bool asleep) override {
        GANTRY_ASSERT(cells_used() == 0, "only empty slots sleep");
        if (asleep || wakes_) {
            asleep_ = asleep;
            asleep_.notify_all();
        }
        return asleep_ == asleep;
    }
    Result<ForwardOutcome> forward(const Batch& batch) override {
        GANTRY_ASSERT(!asleep_, "nothing is computed asleep");
        return FakeRunner::forward(batch);
    }
    std::atomic<bool> asleep_{false};

private:
    std::atomic<bool>& wakes_;
};

TEST(Engine, SleepsWhenIdleAndWakesForARequest) {
    std::atomic<bool> wakes{true};
    auto owned = std::make_unique<SleepyRunner>(wakes);
    SleepyRunner& runner = *owned;
    EngineConfig config;
    config.sleep_after_s = 0.01;
    auto engine = Engine::start(std::move(owned), config);
    for (int round = 0; round < 3; ++round) {
        runner.asleep_.wait(false);
        Collector collector;
        SequenceRequest request = request_of(collector, {1, 2, 3, 4, 5}, 4);
        const auto expected = FakeRunner::expected(request, FakeRunnerOptions{});
        ASSERT_TRUE(engine->submit(std::move(request)).ok());
        ASSERT_TRUE(collector.wait());
        EXPECT_EQ(collector.tokens, expected.tokens);
        EXPECT_EQ(collector.last.cached_tokens, 0u) << "what was cached is gone with the memory";
    }
    runner.asleep_.wait(false);
    wakes = false;
    Collector refused, again;
    ASSERT_TRUE(engine->submit(request_of(refused, {1, 2}, 2)).ok());
    ASSERT_TRUE(refused.wait());
    EXPECT_EQ(refused.last.finish, FinishReason::kError);
    EXPECT_NE(refused.last.error.find("memory"), std::string::npos);
    wakes = true;
    ASSERT_TRUE(engine->submit(request_of(again, {1, 2}, 2)).ok());
    ASSERT_TRUE(again.wait());
    EXPECT_EQ(again.tokens.size(), 2u);
}

TEST(Engine, IdleItUsesNoTimeAndCountsAsProgressing) {
    auto engine = Engine::start(std::make_unique<FakeRunner>(FakeRunnerOptions{}), EngineConfig{});
    Collector collector;
    ASSERT_TRUE(engine->submit(request_of(collector, {1}, 3)).ok());
    ASSERT_TRUE(collector.wait());
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    while (engine->seconds_since_progress() != 0 && std::chrono::steady_clock::now() < deadline) {
        std::this_thread::yield();
    }
    EXPECT_EQ(engine->seconds_since_progress(), 0);
    const uint64_t steps = engine->stats().steps_total;
    EXPECT_EQ(engine->stats().steps_total, steps);
}

// --- the core, driven by hand ---

class CoreTest : public ::testing::Test {
protected:
    EngineCore& start(FakeRunnerOptions options) {
        options_ = options;
        runner_ = std::make_unique<FakeRunner>(options);
        core_ = std::make_unique<EngineCore>(EngineCoreParts{*runner_, clock_, planner_}, EngineConfig{});
        return *core_;
    }
    void run() {
        for (int step = 0; step < 5000 && core_->has_work(); ++step) {
            core_->step();
            ASSERT_EQ(core_->check_integrity(), std::nullopt);
        }
        ASSERT_FALSE(core_->has_work());
    }
    FakeRunnerOptions options_;
    FakeClock clock_;
    BatchPlanner planner_;
    std::unique_ptr<FakeRunner> runner_;
    std::unique_ptr<EngineCore> core_;
};

TEST_F(CoreTest, SixEqualPromptsCostOnePrefill) {
    EngineCore& core = start(FakeRunnerOptions{.capacity = {.context_tokens = 2000, .slots = 8, .batch_rows = 512, .vocabulary = 61}});
    std::vector<Collector> collectors(6);
    for (size_t i = 0; i < 6; ++i) {
        SequenceRequest request = request_of(collectors[i], std::vector<TokenId>(200, 7), 10);
        request.sampling.seed = i;
        core.submit(i + 1, std::move(request), clock_.steady());
    }
    run();
    EXPECT_EQ(runner_->rows_computed(), 200u + 6 * 9);
    EXPECT_EQ(collectors[0].last.cached_tokens, 0u);
    for (size_t i = 1; i < 6; ++i) {
        EXPECT_EQ(collectors[i].last.cached_tokens, 200u);
        SequenceRequest same;
        same.prompt.assign(200, 7);
        same.max_tokens = 10;
        same.sampling.seed = i;
        EXPECT_EQ(collectors[i].tokens, FakeRunner::expected(same, options_).tokens);
    }
    EXPECT_NE(collectors[1].tokens, collectors[2].tokens);
}

TEST_F(CoreTest, ALateEqualPromptSharesWithARunningStream) {
    EngineCore& core = start(FakeRunnerOptions{});
    Collector first, late;
    core.submit(1, request_of(first, std::vector<TokenId>(30, 7), 20), clock_.steady());
    while (first.tokens.size() < 3) {
        core.step();
    }
    const uint64_t rows = runner_->rows_computed();
    core.submit(2, request_of(late, std::vector<TokenId>(30, 7), 1), clock_.steady());
    core.step();
    EXPECT_EQ(runner_->rows_computed(), rows + 2);
    EXPECT_EQ(late.last.cached_tokens, 29u);
    run();
}

TEST_F(CoreTest, WhenTheLeaderIsCancelledAFollowerLeads) {
    EngineCore& core = start(FakeRunnerOptions{});
    Collector leader, follower;
    core.submit(1, request_of(leader, std::vector<TokenId>(100, 7), 5), clock_.steady());
    core.submit(2, request_of(follower, std::vector<TokenId>(100, 7), 5), clock_.steady());
    core.step();   // 32 rows of the leader
    core.cancel(1);
    run();
    EXPECT_EQ(follower.tokens.size(), 5u);
    EXPECT_EQ(follower.last.cached_tokens, 32u) << "what the leader left behind";
}

TEST_F(CoreTest, TheNextTurnOfAChatComputesOnlyWhatIsNew) {
    EngineCore& core = start(FakeRunnerOptions{});
    Collector first, second;
    std::vector<TokenId> history(40, 7);
    core.submit(1, request_of(first, history, 10), clock_.steady());
    run();
    history.insert(history.end(), first.tokens.begin(), first.tokens.end());
    history.insert(history.end(), {1, 2, 3});
    const uint64_t rows = runner_->rows_computed();
    core.submit(2, request_of(second, history, 1), clock_.steady());
    run();
    EXPECT_EQ(second.last.cached_tokens, 49u) << "all but the answer's last token, which was never computed";
    EXPECT_EQ(runner_->rows_computed(), rows + 4);
    EXPECT_EQ(core.stats().cached_tokens_total, 49u);
}

TEST_F(CoreTest, ABeginningInCommonIsComputedOnceEvenByThoseThatArriveTogether) {
    EngineCore& core = start(FakeRunnerOptions{.capacity = {.context_tokens = 2000, .slots = 8, .batch_rows = 64, .vocabulary = 61}});
    std::vector<Collector> collectors(4);
    for (size_t i = 0; i < 4; ++i) {
        std::vector<TokenId> prompt(200, 7);
        prompt.insert(prompt.end(), 20 + i, static_cast<TokenId>(i));
        core.submit(i + 1, request_of(collectors[i], prompt, 1), clock_.steady());
    }
    run();
    EXPECT_EQ(runner_->rows_computed(), 200u + 20 + 21 + 22 + 23);
}

TEST_F(CoreTest, SaltsSeparateWhoAsksForIt) {
    EngineCore& core = start(FakeRunnerOptions{});
    Collector mine, yours, mine_again;
    for (auto [id, collector, salt] : {std::tuple{1, &mine, "a"}, {2, &yours, "b"}, {3, &mine_again, "a"}}) {
        SequenceRequest request = request_of(*collector, std::vector<TokenId>(30, 7), 2);
        request.cache_salt = salt;
        core.submit(static_cast<SequenceId>(id), std::move(request), clock_.steady());
        run();
    }
    EXPECT_EQ(yours.last.cached_tokens, 0u);
    EXPECT_EQ(mine_again.last.cached_tokens, 29u);
}

TEST_F(CoreTest, AWholeStateIsReusedWholeOrNotAtAll) {
    FakeRunnerOptions options;
    options.capacity.sharing = PrefixSharing::kWhole;
    EngineCore& core = start(options);
    Collector first, longer, parting;
    std::vector<TokenId> history(30, 7);
    core.submit(1, request_of(first, history, 6), clock_.steady());
    run();
    std::vector<TokenId> other = history;
    history.insert(history.end(), first.tokens.begin(), first.tokens.end());
    history.push_back(9);
    other.insert(other.end(), 20, 11);
    core.submit(2, request_of(longer, history, 2), clock_.steady());
    run();
    core.submit(3, request_of(parting, other, 2), clock_.steady());
    run();
    EXPECT_EQ(longer.last.cached_tokens, 35u);
    EXPECT_EQ(parting.last.cached_tokens, 0u) << "the state is of more than the beginning in common";
}

TEST_F(CoreTest, TheLeastRecentlyUsedGoesFirstAndFromItsEnd) {
    EngineCore& core = start(FakeRunnerOptions{.capacity = {.context_tokens = 1000, .slots = 8, .batch_rows = 512, .vocabulary = 61}});
    const auto cached_of = [&](TokenId kind, uint32_t length) {
        static SequenceId id = 0;
        Collector collector;
        core.submit(++id, request_of(collector, std::vector<TokenId>(length, kind), 1), clock_.steady());
        run();
        return collector.last.cached_tokens;
    };
    cached_of(1, 400);
    cached_of(2, 400);
    cached_of(1, 300);                             // used again
    cached_of(3, 400);                             // needs 200 cells: 256 go from the end of the second
    EXPECT_EQ(cached_of(1, 400), 399u);
    EXPECT_EQ(cached_of(2, 400), 144u);
}

TEST_F(CoreTest, ChatsThatTakeTurnsKeepTheirHistories) {
    EngineCore& core = start(FakeRunnerOptions{.capacity = {.context_tokens = 1000, .slots = 8, .batch_rows = 512, .vocabulary = 61}});
    SequenceId id = 0;
    const auto turn = [&](TokenId kind, uint32_t length) {
        Collector collector;
        std::vector<TokenId> tokens(20, 1);   // a template that all chats begin with
        tokens.resize(20 + length, kind);
        core.submit(++id, request_of(collector, tokens, 1), clock_.steady());
        run();
        return collector.last.cached_tokens;
    };
    turn(2, 200);
    EXPECT_EQ(turn(3, 200), 20u);
    EXPECT_EQ(turn(2, 250), 220u) << "though the other chat came between, as the only other one";
    EXPECT_EQ(turn(3, 250), 220u);
}

// Takes the first tokens of a fixed order, then ends.
class CountingConstraint final : public TokenConstraint {
public:
    CountingConstraint(std::vector<TokenId> order, bool lies) : order_(std::move(order)), lies_(lies) {}
    std::span<const uint32_t> allowed() override {
        const TokenId next = at_ < order_.size() ? order_[at_] : 3;
        words_ = {0, 0};
        words_[static_cast<size_t>(next) / 32] = 1u << (next % 32);
        return words_;
    }
    bool accept(TokenId token) override { return !lies_ && at_ < order_.size() && token == order_[at_++]; }

private:
    std::vector<TokenId> order_;
    std::vector<uint32_t> words_;
    size_t at_ = 0;
    bool lies_;
};

TEST_F(CoreTest, AConstraintIsKeptToTheEndAndFailsClosed) {
    FakeRunnerOptions options;
    options.end_tokens = {3};
    EngineCore& core = start(options);
    const std::vector<TokenId> order = {10, 40, 10, 60};
    Collector kept, broken;
    SequenceRequest request = request_of(kept, {1, 2}, 50);
    request.constraint = std::make_shared<CountingConstraint>(order, false);
    request.sampling.ignore_eos = true;   // does not count beside a constraint
    core.submit(1, std::move(request), clock_.steady());
    request = request_of(broken, {1, 2}, 50);
    request.constraint = std::make_shared<CountingConstraint>(order, true);
    core.submit(2, std::move(request), clock_.steady());
    run();
    EXPECT_EQ(kept.tokens, order);
    EXPECT_EQ(kept.last.finish, FinishReason::kStop);
    EXPECT_EQ(broken.last.finish, FinishReason::kError);
    EXPECT_TRUE(broken.tokens.empty());
}

TEST_F(CoreTest, CalibrationLeavesNothingBehind) {
    EngineCore& core = start(FakeRunnerOptions{});
    EXPECT_TRUE(core.calibrate(1));
    EXPECT_TRUE(core.calibrate(64));
    EXPECT_EQ(runner_->cells_used(), 0u);
    EXPECT_EQ(core.check_integrity(), std::nullopt);
}

TEST_F(CoreTest, PastItsDeadlineNothingIsComputed) {
    FakeRunnerOptions options;
    options.on_forward = [this](const Batch&) -> std::optional<Result<ForwardOutcome>> {
        clock_.advance(10ms);
        return std::nullopt;
    };
    EngineCore& core = start(options);
    Collector late, waits;
    SequenceRequest request = request_of(late, std::vector<TokenId>(30, 7), 100);
    request.deadline = Deadline::at(clock_.steady() + 35ms);
    core.submit(1, std::move(request), clock_.steady());
    run();
    EXPECT_EQ(late.last.finish, FinishReason::kError);
    EXPECT_EQ(late.last.error_code, ErrorCode::kDeadlineExceeded);
    EXPECT_EQ(late.tokens.size(), 4u);
    const uint64_t rows = runner_->rows_computed();
    request = request_of(waits, std::vector<TokenId>(30, 9), 5);
    request.deadline = Deadline::at(clock_.steady() - 1ms);
    core.submit(2, std::move(request), clock_.steady());
    run();
    EXPECT_EQ(waits.last.error_code, ErrorCode::kDeadlineExceeded);
    EXPECT_EQ(runner_->rows_computed(), rows);
}

TEST_F(CoreTest, HigherClassesAreAdmittedFirst) {
    EngineCore& core = start(FakeRunnerOptions{.capacity = {.context_tokens = 256, .slots = 4, .batch_rows = 64, .vocabulary = 61, .running = 1}});
    std::vector<Collector> collectors(4);
    const Priority classes[] = {Priority::kNormal, Priority::kBatch, Priority::kNormal, Priority::kHigh};
    std::vector<size_t> ends;
    for (size_t i = 0; i < 4; ++i) {
        SequenceRequest request = request_of(collectors[i], {static_cast<TokenId>(i), 2}, 3);
        request.priority = classes[i];
        request.on_event = [&, i](const TokenEvent& event) {
            if (event.finish) {
                ends.push_back(i);
            }
        };
        core.submit(i + 1, std::move(request), clock_.steady());
    }
    run();
    EXPECT_EQ(ends, (std::vector<size_t>{3, 0, 2, 1}));
}

TEST_F(CoreTest, AloneASequenceUsesTheWholeContext) {
    EngineCore& core = start(FakeRunnerOptions{.capacity = {.context_tokens = 64, .slots = 4, .batch_rows = 16, .vocabulary = 61}});
    Collector collector;
    core.submit(1, request_of(collector, std::vector<TokenId>(10, 7), 0), clock_.steady());
    run();
    EXPECT_EQ(collector.last.finish, FinishReason::kLength);
    EXPECT_EQ(collector.tokens.size(), 54u);
}

TEST_F(CoreTest, OutOfCellsTheYoungestIsPutBackAndNobodySeesIt) {
    EngineCore& core = start(FakeRunnerOptions{.capacity = {.context_tokens = 96, .slots = 4, .batch_rows = 16, .vocabulary = 61}});
    std::vector<Collector> collectors(3);
    for (size_t i = 0; i < 3; ++i) {
        core.submit(i + 1, request_of(collectors[i], {static_cast<TokenId>(i), 4, 5, 6}, 60), clock_.steady());
    }
    run();
    EXPECT_GT(core.stats().preemptions_total, 0u);
    for (size_t i = 0; i < 3; ++i) {
        SequenceRequest same;
        same.prompt = {static_cast<TokenId>(i), 4, 5, 6};
        same.max_tokens = 60;
        EXPECT_EQ(collectors[i].tokens, FakeRunner::expected(same, options_).tokens);
    }
}

TEST_F(CoreTest, BrokenLogitsEndOneSequenceOnly) {
    FakeRunnerOptions options;
    options.on_logits = [](Slot slot, std::vector<float>& logits) {
        if (slot == 0) {
            logits[5] = std::numeric_limits<float>::quiet_NaN();
        }
    };
    EngineCore& core = start(options);
    Collector broken, fine;
    core.submit(1, request_of(broken, {1, 2}, 5), clock_.steady());
    core.submit(2, request_of(fine, {3, 4}, 5), clock_.steady());
    run();
    EXPECT_EQ(broken.last.finish, FinishReason::kError);
    EXPECT_FALSE(broken.last.error.empty());
    EXPECT_EQ(fine.last.finish, FinishReason::kLength);
}

TEST_F(CoreTest, AFailedForwardEndsItsSequencesAndTheEngineGoesOn) {
    int forwards = 0;
    FakeRunnerOptions options;
    options.on_forward = [&](const Batch&) -> std::optional<Result<ForwardOutcome>> {
        return ++forwards == 1 ? std::optional(Result<ForwardOutcome>(internal_error("it broke"))) : std::nullopt;
    };
    EngineCore& core = start(options);
    Collector broken, next;
    core.submit(1, request_of(broken, {1, 2}, 5), clock_.steady());
    core.step();
    EXPECT_EQ(broken.last.error, "it broke");
    core.submit(2, request_of(next, {1, 2}, 5), clock_.steady());
    run();
    EXPECT_EQ(next.last.finish, FinishReason::kLength);
}

using CoreDeathTest = CoreTest;
TEST_F(CoreDeathTest, ALibraryThatFailsTwiceInARowStopsTheProcess) {
    FakeRunnerOptions options;
    options.on_forward = [](const Batch&) { return std::optional(Result<ForwardOutcome>(internal_error("it broke"))); };
    EngineCore& core = start(options);
    Collector one, two;
    core.submit(1, request_of(one, {1, 2}, 5), clock_.steady());
    core.step();
    core.submit(2, request_of(two, {1, 2}, 5), clock_.steady());
    EXPECT_DEATH(core.step(), "fails again and again");
}

TEST_F(CoreTest, TimesAreOfTheClockGiven) {
    FakeRunnerOptions options;
    options.on_forward = [this](const Batch&) -> std::optional<Result<ForwardOutcome>> {
        clock_.advance(10ms);
        return std::nullopt;
    };
    EngineCore& core = start(options);
    Collector collector;
    core.submit(1, request_of(collector, {1, 2, 3}, 4), clock_.steady());
    clock_.advance(7ms);
    run();
    EXPECT_DOUBLE_EQ(collector.last.timings.queue_ms, 7);
    EXPECT_DOUBLE_EQ(collector.last.timings.prefill_ms, 10);
    EXPECT_DOUBLE_EQ(collector.last.timings.decode_ms, 30);
}

}  // namespace
}  // namespace gantry::engine
