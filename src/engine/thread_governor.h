#pragma once
// Chooses how many threads compute the next step. ggml's threads meet at a barrier after every operation and spin there, so one
// that lost its core to another process holds up all of them: with two threads on two cores and one busy neighbour a step takes
// three times as long, and one thread alone is faster. Threads are dropped within a few steps, and taken back when cores are free
// or, where the system does not say, by trying at growing intervals. Pure: steps in, a number out. Threads: one at a time.
//
// Of n threads whose waiting stalls the rest, a step does the work of n * (1 - lost), where `lost` is the share of the step that
// some thread was ready and had no core. Fewer threads are better once that is below n - 1: once lost exceeds 1 / n.

#include <array>
#include <cstdint>
#include <optional>

#include "base/clock.h"

namespace gantry::engine {

struct GovernedStep {
    uint32_t threads = 1;        // that it used
    double ms = 0;
    double expected_ms = 0;      // with all threads and no neighbour, by a cost model of such steps; 0: not known
    double waited_ms = -1;       // its threads were ready and had no core, all together; negative: not known
    double idle_cores = -1;      // that nobody used of late; negative: not known
};

class ThreadGovernor {
public:
    explicit ThreadGovernor(uint32_t threads_max) : max_(threads_max > 0 ? threads_max : 1), threads_(max_) {}

    uint32_t threads() const { return threads_; }   // of the next step: 1 to threads_max
    void observe(const GovernedStep& step, SteadyTime now);

    // The last step ran on all threads, and none was held up: what a step costs may be learnt from it.
    bool undisturbed() const { return undisturbed_; }
    // By how much longer steps take now than expected_ms says; at least 1.
    double slowdown() const { return slowdown_; }

private:
    double lost_of(const GovernedStep& step) const;
    void learn_slowdown(const GovernedStep& step);
    bool may_raise(const GovernedStep& step, SteadyTime now) const;
    void change(uint32_t threads, SteadyTime now);

    const uint32_t max_;
    uint32_t threads_;
    bool undisturbed_ = false;
    double slowdown_ = 1;
    // The shares of the steps with this number of threads that were lost: the last seven, and the mean of many.
    std::array<double, 7> recent_{};
    double lost_ = 0;
    double usual_ms_ = 0;        // 0: there was no such step yet
    double lost_before_ms_ = 0;  // by the last step, where that was much
    uint64_t steps_ = 0;
    SteadyTime changed_at_{};
    std::optional<SteadyTime> raised_at_;   // and not proven yet
    uint32_t undone_raises_ = 0;            // since the last one that was: each doubles the wait for the next
};

}  // namespace gantry::engine
