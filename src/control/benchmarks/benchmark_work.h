#pragma once
// What the two files of Benchmarks share: benchmarks.cc has the queue, benchmark_run.cc what is done with the one that runs.

#include "control/benchmarks/benchmark_planner.h"
#include "control/benchmarks/benchmarks.h"

namespace gantry::control {

inline constexpr std::chrono::milliseconds kBenchmarkTellEvery{300};
inline constexpr std::chrono::seconds kBenchmarkTryAgain{5};   // after the database refused

struct Benchmarks::Work {
    Benchmark benchmark;
    std::vector<BenchmarkStep> steps;
    std::vector<bench::TargetRuns> targets{};
    std::vector<bool> lost{};              // gave no answer: the rest of its runs is left out
    std::stop_token stop{};
    SteadyTime until{};
    uint32_t requests_done = 0, requests_failed = 0;   // of finished steps
    uint64_t output_tokens = 0;
    bool taken_away = false;               // somebody else ended it in the database

    bool stopped() const { return stop.stop_requested() || taken_away; }
};

template <class Change>
void Benchmarks::note(Change change) {
    std::lock_guard lock(mutex_);
    change(running_->benchmark);
    untold_ = true;
}

}  // namespace gantry::control
