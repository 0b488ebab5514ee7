#include "domain/benchmark.h"

#include <algorithm>

namespace gantry {

const char* to_string(BenchmarkKind kind) { return kind == BenchmarkKind::kLoad ? "load" : "compare"; }

bool from_text(const std::string& text, BenchmarkKind& kind) {
    for (const BenchmarkKind one : {BenchmarkKind::kLoad, BenchmarkKind::kCompare}) {
        if (text == to_string(one)) {
            kind = one;
            return true;
        }
    }
    return false;
}

const char* to_string(BenchmarkState state) {
    switch (state) {
        case BenchmarkState::kQueued: return "queued";
        case BenchmarkState::kRunning: return "running";
        case BenchmarkState::kDone: return "done";
        case BenchmarkState::kFailed: return "failed";
        case BenchmarkState::kCancelled: return "cancelled";
    }
    return "failed";
}

bool from_text(const std::string& text, BenchmarkState& state) {
    for (const BenchmarkState one : {BenchmarkState::kQueued, BenchmarkState::kRunning, BenchmarkState::kDone, BenchmarkState::kFailed,
                                     BenchmarkState::kCancelled}) {
        if (text == to_string(one)) {
            state = one;
            return true;
        }
    }
    return false;
}

void close_benchmark(Benchmark& benchmark, WallTime now) {
    benchmark.progress.target.clear();
    benchmark.progress.concurrency = 0;
    benchmark.finished_at = now;
    for (BenchmarkTarget& target : benchmark.targets) target.sealed_key.clear();
}

uint32_t requests_of_run(const BenchmarkSettings& settings, uint32_t concurrency) {
    if (settings.kind == BenchmarkKind::kCompare) return concurrency * settings.rounds;
    if (settings.duration_seconds > 0) {
        return std::min(kBenchmarkRequestsMax, kBenchmarkPromptTokensOfRunMax / std::max(settings.prompt_tokens, 1u));
    }
    return settings.requests > 0 ? settings.requests : concurrency * 4;
}

}  // namespace gantry
