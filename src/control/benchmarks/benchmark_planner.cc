#include "control/benchmarks/benchmark_planner.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "bench/shape.h"
#include "bench/workload.h"

namespace gantry::control {
namespace {

constexpr uint64_t kSeedsARound = 512;   // as `gantry compare` gives its panels

bench::Workload round_of(const BenchmarkSettings& settings, const BenchmarkStep& step) {
    const auto index = static_cast<uint32_t>(step.concurrency) * settings.rounds + step.round;
    bench::Workload workload;
    workload.kind = bench::Workload::Kind::kCompare;
    workload.prompts = {bench::compare_prompt(settings.seed, index)};
    workload.concurrency = workload.requests = settings.concurrencies[step.concurrency];
    workload.max_tokens = settings.output_tokens;
    workload.seed = settings.seed + index * kSeedsARound;
    return workload;
}

Result<bench::Workload> load_of(const BenchmarkSettings& settings, const BenchmarkStep& step) {
    bench::Shape shape;
    shape.concurrency = settings.concurrencies[step.concurrency];
    shape.requests = requests_of_run(settings, shape.concurrency);
    shape.prompt_tokens = {settings.prompt_tokens, settings.prompt_tokens};
    shape.output_tokens = {settings.output_tokens, settings.output_tokens};
    shape.shared_tokens = settings.shared_prefix_tokens;
    Result<bench::Workload> workload = bench::bench_workload(shape, settings.seed + step.concurrency);
    if (workload) workload->begin_within_s = settings.duration_seconds;
    return workload;
}

}  // namespace

std::vector<BenchmarkStep> steps_of(const BenchmarkSettings& settings, size_t targets) {
    const uint32_t rounds = settings.kind == BenchmarkKind::kCompare ? settings.rounds : 1;
    std::vector<BenchmarkStep> steps;
    for (size_t concurrency = 0; concurrency < settings.concurrencies.size(); ++concurrency) {
        for (uint32_t round = 0; round < rounds; ++round) {
            // Who is first changes from round to round: no target always runs on the warmer or cooler machine.
            for (size_t turn = 0; turn < targets; ++turn) steps.push_back({concurrency, round, (turn + round) % targets});
        }
    }
    return steps;
}

Result<bench::Workload> workload_of(const BenchmarkSettings& settings, const BenchmarkStep& step) {
    Result<bench::Workload> workload = settings.kind == BenchmarkKind::kCompare ? round_of(settings, step) : load_of(settings, step);
    if (workload) {
        workload->temperature = settings.temperature;
        workload->ignore_eos = settings.ignore_eos;
    }
    return workload;
}

uint32_t requests_of_all(const BenchmarkSettings& settings, size_t targets) {
    if (settings.duration_seconds > 0) return 0;
    uint32_t sum = 0;
    for (const uint32_t concurrency : settings.concurrencies) sum += requests_of_run(settings, concurrency);
    return sum * static_cast<uint32_t>(targets);
}

std::string command_line_of(const Benchmark& benchmark) {
    const BenchmarkSettings& s = benchmark.settings;
    const std::string counts = fmt::format("{}", fmt::join(s.concurrencies, ","));
    std::string line;
    if (s.kind == BenchmarkKind::kCompare) {
        line = fmt::format("gantry compare --panels {} --rounds {}", counts, s.rounds);
    } else {
        line = fmt::format("gantry bench --concurrency {} --prompt-tokens {}", counts, s.prompt_tokens);
        if (s.shared_prefix_tokens > 0) line += fmt::format(" --shared-prefix {}", s.shared_prefix_tokens);
        if (s.requests > 0) line += fmt::format(" --requests {}", s.requests);
        if (s.duration_seconds > 0) line += fmt::format(" (for {} s each)", s.duration_seconds);
    }
    line += fmt::format(" --max-tokens {} --temperature {} --seed {}{}", s.output_tokens, s.temperature, s.seed, s.ignore_eos ? " --ignore-eos" : "");
    return line + fmt::format(" (benchmark {} of the server)", benchmark.id.text);
}

}  // namespace gantry::control
