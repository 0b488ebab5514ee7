// On machines of arithmetic, with noise: what the governor does within how many steps, and what it costs.
#include "engine/thread_governor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace gantry::engine {
namespace {

// Threads meet at barriers: who shares its core with a busy process gets a third of it, and everybody waits for the slowest.
class Machine {
public:
    explicit Machine(uint32_t cores) : cores_(cores) {}

    uint32_t busy = 0;            // other processes that never sleep
    double their_share = 0.67;    // of a core that one of ours is on; less for a process of low priority
    bool tells = true;            // what threads waited and which cores are idle
    double step_alone_ms = 40;    // of one thread without neighbours

    // One step on as many threads as the governor says; returns its milliseconds.
    double step(ThreadGovernor& governor) {
        const uint32_t threads = governor.threads();
        const uint32_t crowded = threads + busy > cores_ ? std::min(threads, threads + busy - cores_) : 0;
        const double share = crowded > 0 ? 1 - their_share : 1;
        double ms = step_alone_ms / threads / share * noise_(random_);
        double waited = crowded * their_share * ms;
        if (hiccup_(random_) < ms / 2000) {   // every other second a core is gone for a while
            ms += 30;
            waited += 30;
        }
        GovernedStep step{.threads = threads, .ms = ms, .expected_ms = step_alone_ms / cores_};
        if (tells) {
            step.waited_ms = waited;
            step.idle_cores = threads == cores_ ? -1 : std::max(0.0, static_cast<double>(cores_) - threads - busy);
        }
        seconds += ms / 1000;
        governor.observe(step, SteadyTime{} + std::chrono::duration_cast<SteadyTime::duration>(std::chrono::duration<double>(seconds)));
        changes += governor.threads() != threads ? 1 : 0;
        return ms;
    }
    // Steps a second over so many seconds.
    double rate(ThreadGovernor& governor, double for_seconds) {
        const double end = seconds + for_seconds;
        double steps = 0;
        for (const double start = seconds; seconds < end || seconds == start;) {
            step(governor);
            ++steps;
        }
        return steps / for_seconds;
    }

    double seconds = 100;
    uint32_t changes = 0;

private:
    const uint32_t cores_;
    std::mt19937_64 random_{7};
    std::lognormal_distribution<double> noise_{0.0, 0.1};
    std::uniform_real_distribution<double> hiccup_{0, 1};
};

class Governed : public ::testing::TestWithParam<bool> {};   // the parameter: the machine tells

TEST_P(Governed, AnIdleMachineKeepsAllThreads) {
    for (const uint32_t cores : {1u, 2u, 4u, 16u, 64u}) {
        Machine machine(cores);
        machine.tells = GetParam();
        ThreadGovernor governor(cores);
        double with_all = 0;
        for (int i = 0; i < 5000; ++i) {
            with_all += governor.threads() == cores ? 1 : 0;
            machine.step(governor);
        }
        EXPECT_GE(with_all, 4950) << cores << " cores";
    }
}

TEST_P(Governed, ABusyNeighbourCostsOneThreadAndNoMore) {
    Machine machine(2);
    machine.tells = GetParam();
    ThreadGovernor governor(2);
    machine.rate(governor, 2);
    machine.busy = 1;
    int steps = 0;
    for (; governor.threads() == 2 && steps < 100; ++steps) {
        machine.step(governor);
    }
    EXPECT_LE(steps, 6);
    // One thread alone makes 25 steps a second, two beside the neighbour 17.
    machine.changes = 0;
    EXPECT_GE(machine.rate(governor, 60), GetParam() ? 24.0 : 23.0);
    EXPECT_LE(machine.changes, GetParam() ? 2u : 14u) << "it does not swing to and fro";
}

TEST_P(Governed, ThreadsComeBackWhenTheNeighbourLeaves) {
    Machine machine(2);
    machine.tells = GetParam();
    ThreadGovernor governor(2);
    machine.rate(governor, 2);
    machine.busy = 1;
    machine.rate(governor, 20);
    ASSERT_EQ(governor.threads(), 1u);
    machine.busy = 0;
    const double left_at = machine.seconds;
    while (governor.threads() == 1 && machine.seconds < left_at + 200) {
        machine.step(governor);
    }
    EXPECT_LE(machine.seconds - left_at, GetParam() ? 0.5 : 35.0);   // blind attempts have become rare by then
    machine.changes = 0;
    EXPECT_GE(machine.rate(governor, 20), 47);
    EXPECT_LE(machine.changes, 2u);
}

TEST_P(Governed, ManyThreadsGiveUpAsManyAsAreCrowded) {
    Machine machine(16);
    machine.tells = GetParam();
    ThreadGovernor governor(16);
    machine.rate(governor, 2);
    machine.busy = 3;
    machine.rate(governor, 5);
    const double best = 1000 / machine.step_alone_ms * 13;
    EXPECT_GE(machine.rate(governor, 60), 0.85 * best);
    machine.busy = 0;
    machine.rate(governor, GetParam() ? 60 : 200);   // blind attempts have become rare by then
    EXPECT_EQ(governor.threads(), 16u);
}

INSTANTIATE_TEST_SUITE_P(Machines, Governed, ::testing::Bool(),
                         [](const auto& machine) { return std::string(machine.param ? "ThatTell" : "ThatDoNot"); });

// A neighbour of low priority takes less than the thread that would be given up for it.
TEST(ThreadGovernor, ANeighbourThatTakesLittleCostsNoThread) {
    Machine machine(2);
    ThreadGovernor governor(2);
    machine.busy = 1;
    machine.their_share = 0.2;
    machine.rate(governor, 30);
    EXPECT_EQ(governor.threads(), 2u);
    EXPECT_EQ(machine.changes, 0u);
}

// A neighbour that comes and goes is followed, not chased: it costs a few steps each time.
TEST(ThreadGovernor, ANeighbourThatComesAndGoesIsFollowed) {
    Machine machine(2);
    ThreadGovernor governor(2);
    double steps = 0;
    for (int i = 0; i < 10; ++i) {
        machine.busy = 1;
        steps += 3 * machine.rate(governor, 3);
        machine.busy = 0;
        steps += 3 * machine.rate(governor, 3);
    }
    EXPECT_GE(steps, 0.9 * 30 * (25 + 50));
}

TEST(ThreadGovernor, SaysByHowMuchStepsAreSlowerAndWhatMayBeLearnt) {
    Machine machine(2);
    ThreadGovernor governor(2);
    machine.rate(governor, 5);
    EXPECT_LT(governor.slowdown(), 1.5);
    machine.busy = 1;
    for (int i = 0; i < 50; ++i) {
        machine.step(governor);
        EXPECT_FALSE(governor.undisturbed());
    }
    EXPECT_NEAR(governor.slowdown(), 2, 0.6);   // one thread in place of two
    machine.busy = 0;
    int undisturbed = 0;
    for (int i = 0; i < 200; ++i) {
        machine.step(governor);
        undisturbed += governor.undisturbed() ? 1 : 0;
    }
    EXPECT_GT(undisturbed, 100);
    EXPECT_LT(governor.slowdown(), 1.5);
}

}  // namespace
}  // namespace gantry::engine
