// `gantry bench`: many different prompts, at one or several concurrencies, by a rate of arrivals, or as chats.

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "bench/shape.h"
#include "cli/measure.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/words.h"

namespace gantry::cli {
namespace {

constexpr uint32_t kConcurrencyMax = 4096;
constexpr uint32_t kRequestsMax = 1'000'000;
constexpr uint32_t kRateRequests = 32;   // of a run by rate, where not told

struct Options {
    MeasureOptions measure;
    std::string concurrency = "1,8";
    uint32_t requests = 0;
    std::string prompt_tokens = "300";
    std::string output_tokens;           // empty: --max-tokens
    bench::Slo slo;
    bench::Shape shape;                  // what needs no reading

    bool judged() const { return slo.ttft_ms > 0 || slo.tpot_ms > 0; }
};

Result<bench::Shape> shape_of(const Options& options) {
    bench::Shape shape = options.shape;
    const Result<bench::Range> prompt = bench::parse_range(options.prompt_tokens);
    if (!prompt) {
        return prompt.error();
    }
    shape.prompt_tokens = *prompt;
    shape.output_tokens = {options.measure.max_tokens, options.measure.max_tokens};
    if (!options.output_tokens.empty()) {
        const Result<bench::Range> output = bench::parse_range(options.output_tokens);
        if (!output) {
            return output.error();
        }
        shape.output_tokens = *output;
    }
    return shape;
}

// How many requests a run of so many lanes has.
uint32_t requests_of(const Options& options, uint32_t lanes) {
    if (options.shape.turns > 1) {
        return (options.requests > 0 ? options.requests : lanes) * options.shape.turns;   // --requests counts conversations
    }
    if (options.shape.rate > 0) {
        return options.requests > 0 ? options.requests : kRateRequests;
    }
    if (options.shape.late_tokens > 0) {
        return lanes;   // Streams, all at once.
    }
    return options.requests > 0 ? options.requests : lanes * 4;
}

// One workload a concurrency, each with prompts of its own; by rate there is one.
Result<std::vector<bench::Workload>> workloads_of(const Options& options, const std::vector<uint32_t>& counts) {
    Result<bench::Shape> shape = shape_of(options);
    if (!shape) {
        return shape.error();
    }
    uint64_t nonce = fresh_nonce(options.measure);
    std::vector<bench::Workload> workloads;
    for (const uint32_t count : counts) {
        shape->concurrency = count;
        shape->requests = requests_of(options, count);
        Result<bench::Workload> workload = bench::bench_workload(*shape, nonce++);
        if (!workload) {
            return workload.error();
        }
        workload->temperature = options.measure.temperature;
        workload->ignore_eos = options.measure.ignore_eos;
        workloads.push_back(std::move(*workload));
        if (options.shape.rate > 0) {
            break;
        }
    }
    return workloads;
}

Status measure(const Context& context, const Options& options, const std::vector<bench::Workload>& workloads,
               std::vector<bench::TargetRuns>& targets) {
    Progress progress(!context.quiet, true);
    for (const bench::Workload& workload : workloads) {
        for (bench::TargetRuns& entry : targets) {
            progress.show(workload.arrivals_s.empty()
                              ? fmt::format("{}: {} requests, {} at once", entry.target.name, workload.requests, workload.concurrency)
                              : fmt::format("{}: {} requests as they are due", entry.target.name, workload.requests));
            Result<bench::Run> run = bench::run(entry.target, workload);
            if (!run) {
                return run.error();
            }
            if (options.judged()) {
                run->slo = options.slo;
                bench::finish(*run);
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
    const Result<std::vector<bench::Workload>> workloads = workloads_of(options, *counts);
    if (!workloads) {
        fail(workloads.error());
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
    const Status measured = measure(context, options, *workloads, *targets);
    if (!measured) {
        return fail(measured.error());
    }
    return finish_report(context, *targets);
}

void add_load(CLI::App& verb, Options& options) {
    CLI::Option* lanes = verb.add_option("-c,--concurrency,--users", options.concurrency, "requests at once; several runs as 1,8,32")
                             ->capture_default_str()
                             ->type_name("N[,N]");
    verb.add_option("--rate", options.shape.rate, "open loop: so many requests a second arrive at random (Poisson), however many run")
        ->check(CLI::Range(0.001, 10000.0))
        ->type_name("R")
        ->excludes(lanes);
    verb.add_option("--requests", options.requests, "of a run; default: four times the concurrency, 32 by rate; of chats: how many chats")
        ->check(CLI::Range(1u, kRequestsMax))
        ->type_name("N");
    verb.add_option("--turns", options.shape.turns, "chats of so many messages, each sent with all that was said before")
        ->check(CLI::Range(1u, 1000u))
        ->type_name("N");
    verb.add_option("--late-tokens", options.shape.late_tokens, "one more request, with a prompt of so many tokens, after the others began")
        ->check(CLI::Range(1u, kRequestsMax))
        ->type_name("N");
    verb.add_option("--late-after", options.shape.late_after_s, "seconds until it is sent")->capture_default_str()->type_name("S");
    verb.add_option("--slo-ttft", options.slo.ttft_ms, "report the goodput: requests with a TTFT of at most so many ms")->type_name("MS");
    verb.add_option("--slo-tpot", options.slo.tpot_ms, "and a TPOT of at most so many ms")->type_name("MS");
}

void add_lengths(CLI::App& verb, Options& options) {
    verb.add_option("--prompt-tokens", options.prompt_tokens, "about so many tokens in each prompt; 128-1024: drawn evenly")
        ->capture_default_str()
        ->type_name("N[-N]");
    verb.add_option("--output-tokens", options.output_tokens, "longest answers drawn evenly, instead of --max-tokens; exact with --ignore-eos")
        ->type_name("N[-N]");
    verb.add_option("--turn-tokens", options.shape.turn_tokens, "about so many tokens in later messages of a chat")
        ->capture_default_str()
        ->check(CLI::Range(1u, kRequestsMax))
        ->type_name("N");
    verb.add_option("--shared-prefix", options.shape.shared_tokens, "of them about so many equal ones at the front")
        ->check(CLI::Range(0u, kRequestsMax))
        ->type_name("N");
    verb.add_option("--shared-share", options.shape.shared_share, "share of the prompts that have the shared prefix")
        ->capture_default_str()
        ->check(CLI::Range(0.0, 1.0))
        ->type_name("0-1");
}

}  // namespace

void add_bench(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("bench", "measure with many prompts that differ from their first word on");
    Options& options = context.own<Options>();
    add_measure_options(*verb, context, options.measure);
    add_load(*verb, options);
    add_lengths(*verb, options);
    verb->callback([&context, &options] { context.action = [&context, &options] { return bench_targets(context, options); }; });
}

}  // namespace gantry::cli
