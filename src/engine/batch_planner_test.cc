#include "engine/batch_planner.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "engine/kv_ledger.h"
#include "engine/synthetic_machine.h"

namespace gantry::engine {
namespace {

RunningView prefill(Slot slot, uint32_t remaining, uint32_t computed = 0) {
    return RunningView{.slot = slot, .id = static_cast<SequenceId>(slot) + 1, .computed = computed, .remaining = remaining};
}
RunningView stream(Slot slot, uint32_t computed) {
    return RunningView{.slot = slot, .id = static_cast<SequenceId>(slot) + 1, .computed = computed, .remaining = 1, .generates = true};
}

class BatchPlannerTest : public ::testing::Test {
protected:
    BatchPlannerTest() {
        for (int i = 0; i < 20; ++i) {
            for (uint32_t rows : CostModel::calibration_rows(512)) {
                cost.observe({rows, rows}, 5 + rows);   // a millisecond a row
            }
        }
        state = StepState{.running = {}, .free_cells = 10000, .rows_max = 512, .step_ms_max = 400, .cost = &cost};
    }
    CostModel cost;
    StepState state;
    BatchPlanner planner;
};

TEST_F(BatchPlannerTest, AStepFitsItsTime) {
    state.running = {prefill(0, 4000)};
    const StepPlan plan = planner.plan(state);
    ASSERT_EQ(plan.rows.size(), 1u);
    EXPECT_GT(plan.rows[0].rows, 200u);
    EXPECT_LE(plan.rows[0].rows, 400u);
    EXPECT_LE(plan.expected_ms, 2000);
}

TEST_F(BatchPlannerTest, RunningStreamsKeepTheirPace) {
    state.running = {stream(0, 100), prefill(1, 4000)};
    uint32_t rows = 0;
    for (const PlannedRows& planned : planner.plan(state).rows) {
        rows += planned.rows;
    }
    EXPECT_GE(rows, 17u);
    EXPECT_LE(rows, 110u);                              // a tenth of a second
    for (Slot slot = 2; slot < 102; ++slot) {
        state.running.push_back(stream(slot, 100));     // slower anyhow: 106 ms a step
    }
    const StepPlan plan = planner.plan(state);
    EXPECT_GT(plan.expected_ms, 2.0 * 106);
    EXPECT_LT(plan.expected_ms, 2.5 * 106);
    EXPECT_EQ(plan.rows.size(), state.running.size());
}

TEST_F(BatchPlannerTest, APrefillAdvancesHoweverSlowTheStreams) {
    CostModel slow;
    slow.observe({8, 8}, 900);
    state.cost = &slow;
    for (Slot slot = 0; slot < 8; ++slot) {
        state.running.push_back(stream(slot, 100));
    }
    state.running.push_back(prefill(8, 1000));
    EXPECT_GE(planner.plan(state).rows.back().rows, 16u);
}

TEST_F(BatchPlannerTest, BeforeAnythingWasMeasuredChunksAreShort) {
    const CostModel nothing;
    state.cost = &nothing;
    state.running = {stream(0, 100), prefill(1, 4000)};
    const StepPlan plan = planner.plan(state);
    EXPECT_LE(plan.rows[1].rows, 32u);
    EXPECT_GE(plan.rows[1].rows, 16u);
    EXPECT_EQ(plan.expected_ms, 0);
}

TEST_F(BatchPlannerTest, PrefillsFinishOneAfterTheOther) {
    state.running = {prefill(0, 900), prefill(1, 300), prefill(2, 900)};
    const StepPlan plan = planner.plan(state);
    EXPECT_EQ(plan.rows[0].slot, 1);
    EXPECT_EQ(plan.rows[0].rows, 300u);
    ASSERT_LE(plan.rows.size(), 2u);
    if (plan.rows.size() == 2) {
        EXPECT_EQ(plan.rows[1].slot, 0);
    }
}

TEST_F(BatchPlannerTest, ALongPromptIsNotStarvedByShortOnes) {
    RunningView old = prefill(0, 4000);
    old.steps_running = 200;
    state.running = {old, prefill(1, 100)};
    EXPECT_EQ(planner.plan(state).rows[0].slot, 0);
}

TEST_F(BatchPlannerTest, TheHigherClassIsPrefilledFirstAndALowerOneStillAdvances) {
    state.running = {prefill(0, 100), prefill(1, 4000), prefill(2, 30)};
    state.running[0].priority = Priority::kBatch;
    state.running[1].priority = Priority::kHigh;
    StepPlan plan = planner.plan(state);
    ASSERT_EQ(plan.rows.size(), 1u);
    EXPECT_EQ(plan.rows[0].slot, 1);
    state.running[0].steps_idle = 64;
    state.running[2].steps_idle = 70;
    plan = planner.plan(state);
    ASSERT_EQ(plan.rows.size(), 2u);
    EXPECT_EQ(plan.rows[0].slot, 2);                    // the one that waits longest
    EXPECT_EQ(plan.rows[0].rows, 16u);
    EXPECT_EQ(plan.rows[1].slot, 1);
}

TEST_F(BatchPlannerTest, TheLowestClassIsPreemptedFirstAndNeverForALowerOne) {
    state.running = {stream(0, 10), stream(1, 10), stream(2, 10), stream(3, 10)};
    state.running[1].priority = Priority::kBatch;
    state.running[3].priority = Priority::kHigh;
    state.free_cells = 3;
    EXPECT_EQ(planner.plan(state).preempt, std::optional<Slot>(1));
    // The one that lacks a cell holds none and is of a lower class than all that do: it waits.
    state.running[1].computed = 0;
    const StepPlan plan = planner.plan(state);
    EXPECT_FALSE(plan.preempt.has_value());
    ASSERT_EQ(plan.rows.size(), 3u);
    for (const PlannedRows& planned : plan.rows) {
        EXPECT_NE(planned.slot, 1);
    }
}

TEST_F(BatchPlannerTest, AHigherPrefillWithoutCellsTakesThemFromALowerStream) {
    state.running = {stream(0, 10), stream(1, 10), prefill(2, 50)};
    state.free_cells = 2;
    EXPECT_FALSE(planner.plan(state).preempt.has_value());   // its equals go on
    state.running[2].priority = Priority::kHigh;
    EXPECT_EQ(planner.plan(state).preempt, std::optional<Slot>(1));
    state.running[0].priority = Priority::kBatch;
    EXPECT_EQ(planner.plan(state).preempt, std::optional<Slot>(0));
}

// A crowd that never ends, of short prompts or of a higher class.
TEST_F(BatchPlannerTest, NobodyStarves) {
    for (const Priority crowd : {Priority::kNormal, Priority::kHigh}) {
        std::vector<RunningView> running = {prefill(0, 3000)};
        running[0].id = 1000000;
        SequenceId next = 1;
        uint64_t longest_idle = 0;
        int steps = 0;
        for (; running[0].remaining > 1 && steps < 20000; ++steps) {
            while (running.size() < 6) {
                RunningView view = prefill(static_cast<Slot>(running.size()), 400);
                view.priority = crowd;
                view.id = next++;
                running.push_back(view);
            }
            state.running = running;
            const StepPlan plan = planner.plan(state);
            for (RunningView& view : running) {
                ++view.steps_running;
                ++view.steps_idle;
                for (const PlannedRows& planned : plan.rows) {
                    if (planned.slot == view.slot) {
                        view.remaining -= std::min(planned.rows, view.remaining);
                        view.computed += planned.rows;
                        view.steps_idle = 0;
                    }
                }
            }
            longest_idle = std::max(longest_idle, running[0].steps_idle);
            std::erase_if(running, [](const RunningView& view) { return view.id < 1000000 && view.remaining == 0; });
            for (size_t i = 0; i < running.size(); ++i) {
                running[i].slot = static_cast<Slot>(i);
            }
        }
        EXPECT_LE(longest_idle, crowd == Priority::kNormal ? 300u : 70u);
        EXPECT_LT(steps, crowd == Priority::kNormal ? 400 : 13000);
    }
}

TEST_F(BatchPlannerTest, TheYoungestIsPreemptedWhenDecodingLacksCells) {
    state.running = {stream(0, 10), stream(2, 10), stream(1, 10)};
    state.free_cells = 2;
    const StepPlan plan = planner.plan(state);
    ASSERT_TRUE(plan.preempt.has_value());
    EXPECT_EQ(*plan.preempt, 2);
    EXPECT_TRUE(plan.rows.empty());
    state.free_cells = 3;
    EXPECT_FALSE(planner.plan(state).preempt.has_value());
}

TEST_F(BatchPlannerTest, HalfComputedPromptsThatFillAllCellsGiveWay) {
    state.running = {prefill(0, 50, 100), prefill(1, 50, 100)};
    state.free_cells = 0;
    EXPECT_EQ(planner.plan(state).preempt, std::optional<Slot>(1));
}

TEST_F(BatchPlannerTest, MoreStreamsThanRowsTakeTurns) {
    for (Slot slot = 0; slot < 6; ++slot) {
        state.running.push_back(stream(slot, 10));
        state.running.back().steps_idle = slot < 3 ? 0 : 4;
    }
    state.rows_max = 4;
    const StepPlan plan = planner.plan(state);
    ASSERT_EQ(plan.rows.size(), 4u);
    EXPECT_EQ(plan.rows[0].slot, 3);
    EXPECT_EQ(plan.rows[3].slot, 0);
}

TEST_F(BatchPlannerTest, FollowersGetNoRows) {
    state.running = {prefill(0, 50), prefill(1, 50)};
    state.running[1].follows = true;
    ASSERT_EQ(planner.plan(state).rows.size(), 1u);
}

// --- drafts ------------------------------------------------------------------------------------------------------------

class DraftTest : public ::testing::Test {
protected:
    void learn(const SyntheticMachine& machine) {
        for (int i = 0; i < 30; ++i) {
            for (uint32_t rows : CostModel::calibration_rows(512)) {
                cost.observe({rows, rows}, machine.quiet_ms({rows, rows}));
            }
        }
    }
    void draft(Slot streams, uint32_t drafted, double acceptance) {
        state.running.clear();
        for (Slot slot = 0; slot < streams; ++slot) {
            state.running.push_back(stream(slot, 100));
            state.running.back().drafted = drafted;
            state.running.back().acceptance = acceptance;
        }
    }
    uint32_t drafts() const {
        uint32_t sum = 0;
        for (const PlannedRows& planned : planner.plan(state).rows) {
            sum += planned.drafts;
        }
        return sum;
    }
    CostModel cost;
    StepState state{.free_cells = 10000, .rows_max = 512, .step_ms_max = 400, .cost = &cost};
    BatchPlanner planner;
};

const SyntheticMachine kTiles{.steps = {{1, 20}, {4, 20}, {6, 38}, {8, 38}, {12, 56}, {16, 74}, {32, 148}, {512, 2300}}};
const SyntheticMachine kRowByRow{.steps = {{1, 20}, {2, 40}, {512, 10240}}};
const SyntheticMachine kWeightsOnly{.steps = {{1, 20}, {64, 21}, {512, 100}}};   // bound by memory

TEST_F(DraftTest, RowsThatCompleteATileAreFree) {
    learn(kTiles);
    draft(1, 8, 0.3);
    EXPECT_EQ(drafts(), 3u);
    draft(1, 8, 1.0);
    EXPECT_GE(drafts(), 7u);   // even a tile that must be paid
    draft(1, 2, 0.9);
    EXPECT_EQ(drafts(), 2u);
}

TEST_F(DraftTest, NoneWhereEachRowCostsItsOwnTime) {
    learn(kRowByRow);
    for (double acceptance : {0.1, 0.5, 0.8}) {
        draft(4, 8, acceptance);
        EXPECT_EQ(drafts(), 0u) << acceptance;
    }
}

TEST_F(DraftTest, ManyWhereRowsCostNothing) {
    learn(kWeightsOnly);
    draft(4, 8, 0.8);
    EXPECT_EQ(drafts(), 32u);
    draft(4, 8, 0.01);
    EXPECT_EQ(drafts(), 0u);   // each must be drawn, too
}

TEST_F(DraftTest, TheLikelierGuessesGetTheRows) {
    learn(kTiles);
    draft(2, 8, 0.2);
    state.running[1].acceptance = 0.7;
    const StepPlan plan = planner.plan(state);
    ASSERT_EQ(plan.rows.size(), 2u);
    EXPECT_EQ(plan.rows[0].drafts, 0u);
    EXPECT_EQ(plan.rows[1].drafts, 2u);
}

TEST_F(DraftTest, PrefillsComeFirst) {
    learn(kTiles);
    draft(1, 8, 0.9);
    state.running.push_back(prefill(1, 3000));
    EXPECT_EQ(drafts(), 0u);
    state.running.back().remaining = 2;     // all of it: one row is left in the tile
    EXPECT_GE(drafts(), 1u);
}

TEST_F(DraftTest, LimitsHold) {
    learn(kWeightsOnly);
    draft(4, 8, 0.8);
    state.logit_rows_max = 10;
    EXPECT_EQ(drafts(), 6u);
    state.logit_rows_max = 0;
    state.rows_max = 12;
    EXPECT_EQ(drafts(), 8u);
    state.free_cells = 5;
    EXPECT_EQ(drafts(), 1u);
}

TEST_F(DraftTest, NoneBeforeAnythingWasMeasured) {
    draft(4, 8, 0.9);
    EXPECT_EQ(drafts(), 0u);
}

TEST(AdmissionTest, AloneAlwaysElseWithHeadroom) {
    const BatchPlanner planner;
    AdmissionState state{.running = 0, .free_slots = 1, .cells = 1000, .free_cells = 1000, .promised_cells = 0, .needed_cells = 999};
    EXPECT_TRUE(planner.admits(state));
    state.running = 1;
    EXPECT_FALSE(planner.admits(state));
    state.needed_cells = 900;
    EXPECT_TRUE(planner.admits(state));
    state.promised_cells = 100;
    EXPECT_FALSE(planner.admits(state));
    state.promised_cells = 0;
    state.free_slots = 0;
    EXPECT_FALSE(planner.admits(state));
}

TEST(KvLedgerTest, SharedCellsCountOnceAndComeFreeWithTheLastHolder) {
    KvLedger ledger(4);
    ledger.append(0, 10);
    ledger.share(0, 1, 9);
    ledger.append(1, 5);
    ledger.append(0, 1);
    ledger.share(1, 2, 12);                                  // across segments
    EXPECT_EQ(ledger.cells_used(), 16u);
    EXPECT_EQ(ledger.exclusive_tail(0), 2u);
    EXPECT_EQ(ledger.exclusive_tail(1), 2u);
    EXPECT_EQ(ledger.check_integrity(), std::nullopt);
    ledger.release(0);
    EXPECT_EQ(ledger.cells_used(), 14u);
    ledger.release(1);
    EXPECT_EQ(ledger.cells_used(), 12u);
    EXPECT_EQ(ledger.length(2), 12u);
    ledger.release(2);
    EXPECT_EQ(ledger.cells_used(), 0u);
    EXPECT_EQ(ledger.check_integrity(), std::nullopt);
}

}  // namespace
}  // namespace gantry::engine
