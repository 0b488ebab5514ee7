#pragma once
// What a benchmark sends, to whom and in which order: the same as `gantry bench` and `gantry compare` send for the same seed. Pure.

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "bench/bench.h"
#include "domain/benchmark.h"

namespace gantry::control {

// One run, or one round of it.
struct BenchmarkStep {
    size_t concurrency = 0;   // index into settings.concurrencies: the run that it belongs to
    uint32_t round = 0;
    size_t target = 0;        // index
    bool operator==(const BenchmarkStep&) const = default;
};

// Targets take turns at each concurrency, so that what changes on the machine meanwhile meets all of them.
std::vector<BenchmarkStep> steps_of(const BenchmarkSettings& settings, size_t targets);
// The same for every target. kInvalidArgument: settings that go against each other.
Result<bench::Workload> workload_of(const BenchmarkSettings& settings, const BenchmarkStep& step);
// Requests of all steps together; 0: they go by time.
uint32_t requests_of_all(const BenchmarkSettings& settings, size_t targets);
// The line of `gantry bench` or `gantry compare` that does the same, but for its targets: "gantry bench --concurrency 1,8 ...".
std::string command_line_of(const Benchmark& benchmark);

}  // namespace gantry::control
