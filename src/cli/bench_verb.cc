// `gantry bench`: many different prompts at one or several concurrencies.

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "bench/workload.h"
#include "cli/measure.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/words.h"

namespace gantry::cli {
namespace {

constexpr uint32_t kConcurrencyMax = 4096;

struct Options {
    MeasureOptions measure;
    std::string concurrency = "1,8";
    uint32_t requests = 0;
    uint32_t prompt_tokens = 300;
    uint32_t shared_prefix = 0;
};

Status measure(const Context& context, const Options& options, const std::vector<uint32_t>& counts,
               std::vector<bench::TargetRuns>& targets) {
    Progress progress(!context.quiet, true);
    uint64_t nonce = fresh_nonce(options.measure);
    for (const uint32_t count : counts) {
        bench::Workload workload;
        workload.kind = bench::Workload::Kind::kBench;
        workload.requests = options.requests > 0 ? options.requests : count * 4;
        workload.prompts = bench::bench_prompts(nonce, workload.requests, options.prompt_tokens, options.shared_prefix);
        workload.concurrency = count;
        workload.max_tokens = options.measure.max_tokens;
        workload.temperature = options.measure.temperature;
        workload.ignore_eos = options.measure.ignore_eos;
        workload.seed = nonce;
        ++nonce;  // The next concurrency gets prompts of its own.
        for (bench::TargetRuns& entry : targets) {
            progress.show(fmt::format("{}: {} requests, {} at once", entry.target.name, workload.requests, count));
            Result<bench::Run> run = bench::run(entry.target, workload);
            if (!run) {
                return run.error();
            }
            entry.runs.push_back(std::move(*run));
        }
    }
    return Ok{};
}

int bench_targets(const Context& context, const Options& options) {
    const Result<std::vector<uint32_t>> counts = parse_counts(options.concurrency, kConcurrencyMax);
    if (!counts) {
        fail(counts.error());
        return kWrongUsage;
    }
    Result<std::vector<bench::TargetRuns>> targets = resolve_targets(context, options.measure);
    if (!targets) {
        const int status = fail(targets.error());
        return targets.error().code == ErrorCode::kInvalidArgument ? kWrongUsage : status;
    }
    if (!options.measure.no_warmup) {
        const Status warm = warm_up(*targets, options.measure);
        if (!warm) {
            return fail(warm.error());
        }
    }
    const Status measured = measure(context, options, *counts, *targets);
    if (!measured) {
        return fail(measured.error());
    }
    return finish_report(context, *targets);
}

}  // namespace

void add_bench(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("bench", "measure with many prompts that differ from their first word on");
    Options& options = context.own<Options>();
    add_measure_options(*verb, context, options.measure);
    verb->add_option("-c,--concurrency", options.concurrency, "requests at once; several runs as 1,8,32")
        ->capture_default_str()
        ->type_name("N[,N]");
    verb->add_option("--requests", options.requests, "of a run; default: four times the concurrency")
        ->check(CLI::Range(1u, 1'000'000u))
        ->type_name("N");
    verb->add_option("--prompt-tokens", options.prompt_tokens, "about so many tokens of its own in each prompt")
        ->capture_default_str()
        ->check(CLI::Range(1u, 1'000'000u))
        ->type_name("N");
    verb->add_option("--shared-prefix", options.shared_prefix, "about so many equal tokens in front of all prompts")
        ->check(CLI::Range(0u, 1'000'000u))
        ->type_name("N");
    verb->callback([&context, &options] { context.action = [&context, &options] { return bench_targets(context, options); }; });
}

}  // namespace gantry::cli
