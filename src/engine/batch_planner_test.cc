#include "engine/batch_planner.h"

#include <gtest/gtest.h>

#include "engine/kv_ledger.h"

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
        for (int i = 0; i < 50; ++i) {
            cost.observe(1, 5);
            cost.observe(512, 512);   // a millisecond a row
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
    EXPECT_LE(rows, 128u);
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

TEST(CostModelTest, LearnsAndRecovers) {
    CostModel cost;
    EXPECT_EQ(cost.rows_within(100, 512), 32u);
    cost.observe(32, 320);                                   // a slow moment: 10 ms a row
    EXPECT_LE(cost.rows_within(100, 512), 10u);
    for (int i = 0; i < 20; ++i) {
        const uint32_t rows = cost.rows_within(100, 512);
        cost.observe(rows, rows * 0.5);                      // the machine is free again
    }
    EXPECT_GT(cost.rows_within(100, 512), 150u);
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
