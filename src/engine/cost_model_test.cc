#include "engine/cost_model.h"

#include <gtest/gtest.h>

#include <cmath>

#include "engine/synthetic_machine.h"

namespace gantry::engine {
namespace {

// The 0.5B in Q4_0 on two cores: six rows take longer than eight.
SyntheticMachine repacked() {
    return {.steps = {{1, 14.5}, {2, 32}, {4, 39}, {6, 60}, {8, 48}, {16, 73}, {32, 109}, {128, 300}, {512, 1050}}, .noise = 0.05};
}
// A tile of four rows costs as one row does.
SyntheticMachine tiled() {
    return {.steps = {{1, 20}, {4, 20}, {6, 38}, {8, 38}, {12, 56}, {16, 60}, {32, 110}, {128, 420}, {512, 1650}}, .noise = 0.05};
}
// A small model on a machine with many cores.
SyntheticMachine fast() {
    return {.steps = {{1, 0.8}, {2, 0.9}, {4, 1}, {8, 1.1}, {16, 1.5}, {32, 2.2}, {128, 6}, {512, 22}}, .noise = 0.05};
}

void calibrate(CostModel& cost, SyntheticMachine& machine, int rounds = 1) {
    for (int round = 0; round < rounds; ++round) {
        for (uint32_t rows : CostModel::calibration_rows(512)) {
            cost.observe({rows, rows}, machine.ms({rows, rows}));
        }
    }
}
// Rows that attend over so many cells each.
StepShape shape(uint32_t rows, uint32_t cells) { return {rows, uint64_t{rows} * cells}; }
double off_by(const CostModel& cost, const SyntheticMachine& machine, const StepShape& shape) {
    return std::abs(cost.expected_ms(shape) / machine.quiet_ms(shape) - 1);
}

TEST(CostModelTest, KnowsNothingAtFirst) {
    const CostModel cost;
    EXPECT_FALSE(cost.knows());
    EXPECT_EQ(cost.expected_ms({8, 100}), 0);
    EXPECT_EQ(cost.rows_within(400, {0, 0}, 512, 0), 32u);
    EXPECT_EQ(cost.rows_within(400, {8, 800}, 512, 0), 32u);
    EXPECT_EQ(cost.rows_within(400, {8, 800}, 20, 0), 12u);
    EXPECT_EQ(cost.rows_within(400, {20, 800}, 20, 0), 0u);
}

TEST(CostModelTest, NonsenseIsNotLearnt) {
    CostModel cost;
    cost.observe({0, 10}, 5);
    cost.observe({8, 10}, -1);
    cost.observe({8, 10}, std::nan(""));
    cost.observe({8, 10}, INFINITY);
    EXPECT_FALSE(cost.knows());
    cost.observe({8, 10}, 0);
    EXPECT_GT(cost.expected_ms({8, 10}), 0);
}

TEST(CostModelTest, OneSampleTellsOfAllShapes) {
    CostModel cost;
    cost.observe({8, 8}, 9);    // a quarter of the prior
    EXPECT_NEAR(cost.expected_ms({8, 8}), 9, 1);
    EXPECT_LT(cost.expected_ms({1, 1}), 6);
    EXPECT_LT(cost.expected_ms({256, 256}), 250);
    EXPECT_GT(cost.expected_ms({256, 256}), 120);
}

TEST(CostModelTest, ACalibrationLearnsTheTilesOfEachMachine) {
    for (SyntheticMachine machine : {repacked(), tiled(), fast()}) {
        CostModel cost;
        calibrate(cost, machine, 2);
        for (uint32_t rows : {1u, 2u, 3u, 4u, 6u, 8u, 12u, 16u, 20u, 32u, 64u, 80u, 128u}) {
            EXPECT_LT(off_by(cost, machine, {rows, rows}), 0.15) << rows << " rows, " << machine.quiet_ms({1, 1}) << " ms for one";
        }
    }
}

TEST(CostModelTest, CalibrationKeepsToTheRunnersBatch) {
    for (uint32_t rows : CostModel::calibration_rows(16)) {
        EXPECT_LE(rows, 16u);
    }
    EXPECT_EQ(CostModel::calibration_rows(1), std::vector<uint32_t>{1});
}

TEST(CostModelTest, AttentionIsLearntFromALongPrompt) {
    SyntheticMachine machine = repacked();
    machine.attention_ms = 3e-3;
    CostModel cost;
    calibrate(cost, machine);
    for (uint32_t cells = 0; cells < 6000;) {
        const uint32_t rows = std::min(cost.rows_within(400, {}, 512, cells), 6000 - cells);
        cells += rows;
        cost.observe(shape(rows, cells), machine.ms(shape(rows, cells)));
    }
    EXPECT_LT(off_by(cost, machine, shape(8, 100)), 0.2);
    EXPECT_LT(off_by(cost, machine, shape(8, 6000)), 0.2);
    EXPECT_LT(off_by(cost, machine, shape(64, 3000)), 0.2);
}

TEST(CostModelTest, ABusyNeighbourBendsNothing) {
    SyntheticMachine machine = tiled();
    CostModel cost;
    calibrate(cost, machine, 2);
    machine.outliers = 0.1;
    double worst = 0;
    for (int i = 0; i < 500; ++i) {
        const uint32_t rows = i % 3 == 0 ? 64 : 8;
        cost.observe({rows, rows}, machine.ms({rows, rows}));
        worst = std::max({worst, off_by(cost, machine, {8, 8}), off_by(cost, machine, {64, 64})});
    }
    EXPECT_LT(worst, 0.35);
    machine.outliers = 1;                                    // a burst
    for (int i = 0; i < 3; ++i) {
        cost.observe({8, 8}, machine.ms({8, 8}));
    }
    EXPECT_LT(off_by(cost, machine, {64, 64}), 0.6);
    machine.outliers = 0;
    for (int i = 0; i < 15; ++i) {
        cost.observe({8, 8}, machine.ms({8, 8}));
    }
    EXPECT_LT(off_by(cost, machine, {8, 8}), 0.1);
    EXPECT_LT(off_by(cost, machine, {64, 64}), 0.15);
}

TEST(CostModelTest, AChangeThatLastsIsFollowedAtAllShapes) {
    SyntheticMachine machine = repacked();
    CostModel cost;
    calibrate(cost, machine, 3);
    for (double slowness : {2.0, 1.0, 5.0, 1.0}) {
        machine.slowness = slowness;
        for (int i = 0; i < 40; ++i) {
            cost.observe({8, 8}, machine.ms({8, 8}));        // only streams: nothing is seen of wide steps
        }
        EXPECT_LT(off_by(cost, machine, {8, 8}), 0.1) << slowness;
        EXPECT_LT(off_by(cost, machine, {128, 128}), 0.4) << slowness;
    }
}

TEST(CostModelTest, ASlowMomentDoesNotKeepBatchesSmall) {
    CostModel cost;
    cost.observe({32, 32}, 320);                             // 10 ms a row
    EXPECT_LE(cost.rows_within(100, {0, 0}, 512, 0), 12u);
    for (int i = 0; i < 20; ++i) {
        const uint32_t rows = std::max(1u, cost.rows_within(100, {0, 0}, 512, 0));
        cost.observe({rows, rows}, rows * 0.5);              // the machine is free again
    }
    EXPECT_GT(cost.rows_within(100, {0, 0}, 512, 0), 150u);
}

TEST(CostModelTest, OneSlowWideStepDoesNotForbidWideSteps) {
    SyntheticMachine machine = repacked();
    CostModel cost;
    calibrate(cost, machine);
    const uint32_t before = cost.rows_within(700, {0, 0}, 512, 0);
    cost.observe({512, 512}, 20 * machine.ms({512, 512}));
    EXPECT_GT(cost.rows_within(700, {0, 0}, 512, 0), before / 2);
}

// Wide and narrow, with and without a batch that holds something already: what is said to fit does, and one more does not unless
// there was no more room or a step that is wider still is faster.
TEST(CostModelTest, RowsWithinAgreesWithExpected) {
    std::mt19937 random(7);
    const auto pick = [&](uint32_t from, uint32_t to) -> uint32_t { return std::uniform_int_distribution<uint32_t>(from, to)(random); };
    for (int i = 0; i < 2000; ++i) {
        CostModel cost;
        SyntheticMachine machine = i % 2 == 0 ? repacked() : tiled();
        machine.noise = 0.3;
        machine.attention_ms = i % 3 == 0 ? 2e-3 : 0;
        machine.random.seed(static_cast<uint32_t>(i));
        calibrate(cost, machine);
        const StepShape so_far = shape(pick(0, 40), pick(0, 4000));
        const uint32_t cells = pick(0, 4000);
        const uint32_t rows_max = pick(1, 600);
        const double ms = pick(1, 600);
        const uint32_t added = cost.rows_within(ms, so_far, rows_max, cells);
        const auto with = [&](uint32_t more) { return cost.expected_ms({so_far.rows + more, so_far.attended + uint64_t{more} * cells}); };
        ASSERT_LE(so_far.rows + added, std::max(rows_max, so_far.rows));
        if (added > 0) {
            ASSERT_LE(with(added), ms);
        }
        if (so_far.rows + added < rows_max) {
            ASSERT_GT(with(added + 1), ms);
        }
    }
}

}  // namespace
}  // namespace gantry::engine
