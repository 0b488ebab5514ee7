// `gantry compare`: one prompt to N panels at once, a fresh prompt each round, targets in turn within a round.

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "base/platform/files.h"
#include "bench/workload.h"
#include "cli/measure.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/words.h"

namespace gantry::cli {
namespace {

constexpr uint32_t kPanelsMax = 512;
constexpr size_t kPromptBytesMax = 4u << 20;

struct Options {
    MeasureOptions measure;
    std::string panels = "6";
    uint32_t rounds = 1;
    std::string prompt;
    std::string prompt_file;
    bool exact = false;
};

Result<std::string> prompt_of(const Options& options) {
    if (options.prompt_file.empty()) {
        return options.prompt;
    }
    return platform::read_file(options.prompt_file, kPromptBytesMax);
}

// Every (panels, round) has a lead of its own; all targets of it get the same prompt.
std::string round_prompt(const Options& options, const std::string& given, uint64_t nonce, uint32_t index) {
    if (given.empty()) {
        return bench::compare_prompt(nonce, index);
    }
    return options.exact ? given : bench::lead_sentence(nonce, index) + " " + given;
}

Status measure(const Context& context, const Options& options, const std::vector<uint32_t>& panel_counts, const std::string& given,
               std::vector<bench::TargetRuns>& targets) {
    Progress progress(!context.quiet, true);
    const uint64_t nonce = fresh_nonce(options.measure);
    uint32_t index = 0;
    for (size_t at = 0; at < panel_counts.size(); ++at) {
        for (bench::TargetRuns& entry : targets) {
            entry.runs.emplace_back();
        }
        for (uint32_t round = 0; round < options.rounds; ++round, ++index) {
            bench::Workload workload;
            workload.kind = bench::Workload::Kind::kCompare;
            workload.prompts = {round_prompt(options, given, nonce, index)};
            workload.concurrency = panel_counts[at];
            workload.requests = panel_counts[at];
            workload.max_tokens = options.measure.max_tokens;
            workload.temperature = options.measure.temperature;
            workload.ignore_eos = options.measure.ignore_eos;
            workload.seed = nonce + uint64_t{index} * kPanelsMax;
            // Who is first changes from round to round, so that no target always runs on the warmer or cooler machine.
            for (size_t turn = 0; turn < targets.size(); ++turn) {
                bench::TargetRuns& entry = targets[(turn + round) % targets.size()];
                progress.show(fmt::format("{}: {} panel{}, round {} of {}", entry.target.name, panel_counts[at],
                                          panel_counts[at] == 1 ? "" : "s", round + 1, options.rounds));
                Result<bench::Run> run = bench::run(entry.target, workload);
                if (!run) {
                    return run.error();
                }
                bench::append_round(entry.runs.back(), std::move(*run));
            }
        }
    }
    return Ok{};
}

int compare(const Context& context, const Options& options) {
    const Result<std::vector<uint32_t>> panels = parse_counts(options.panels, kPanelsMax);
    if (!panels) {
        fail(panels.error());
        return kWrongUsage;
    }
    const Result<std::string> given = prompt_of(options);
    if (!given) {
        return fail(given.error());
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
    const Status measured = measure(context, options, *panels, *given, *targets);
    if (!measured) {
        return fail(measured.error());
    }
    return finish_report(context, *targets);
}

}  // namespace

void add_compare(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("compare", "send one prompt to N panels at once and measure deployments side by side");
    Options& options = context.own<Options>();
    add_measure_options(*verb, context, options.measure);
    verb->add_option("-n,--panels", options.panels, "panels at once; several counts as 1,6")->capture_default_str()->type_name("N[,N]");
    verb->add_option("--rounds", options.rounds, "each with a fresh prompt")
        ->capture_default_str()
        ->check(CLI::Range(1u, 10000u))
        ->type_name("R");
    CLI::Option* prompt = verb->add_option("--prompt", options.prompt, "the prompt; default: a built-in text of over 300 tokens");
    verb->add_option("--prompt-file", options.prompt_file, "read it from here")->type_name("FILE")->excludes(prompt);
    verb->add_flag("--exact-prompt", options.exact, "send the prompt as it is, without a fresh first sentence each round");
    verb->callback([&context, &options] { context.action = [&context, &options] { return compare(context, options); }; });
}

}  // namespace gantry::cli
