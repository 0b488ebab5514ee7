#pragma once
// Whom a benchmark measures: where each target is, by whose credentials, and what stands in the report of it. Pure.

#include <string>

#include "bench/bench.h"
#include "domain/benchmark.h"
#include "domain/snapshot.h"

namespace gantry::control {

// What was found of a deployment: its backend, its devices ("2 x Ascend 910B3 on host-1"), cards, version, flags. For the eyes of admins
// where `for_admin`. A deployment that is gone: nothing.
void describe_deployment(const Snapshot& view, bool for_admin, BenchmarkTarget& target);

// The same for the report.
void take_description(const BenchmarkTarget& from, bench::Target& to);

// Whether its deployment serves now.
struct Readiness {
    enum class State { kReady, kComing, kNever };
    State state = State::kNever;
    std::string why{};   // of the last two, for everybody
};
Readiness readiness_of(const Snapshot& view, const std::string& deployment);

// How the load client reaches it. `own_endpoint`: the server's admin socket; requests to deployments go there, as the benchmark's user.
// `key`: of an outside target. kInvalidArgument: its URL is none.
Result<bench::Target> reach(const Benchmark& benchmark, const BenchmarkTarget& target, const std::string& own_endpoint, const std::string& key);

// An error as it may be kept and shown: valid text, bounded, the target's key not in it.
std::string shown_error(const std::string& error, const std::string& key);

}  // namespace gantry::control
