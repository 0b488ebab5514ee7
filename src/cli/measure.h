#pragma once
// What compare and bench share: targets by name or URL, runs with progress, the report.

#include <cstdint>
#include <string>
#include <vector>

#include "bench/bench.h"
#include "cli/client.h"
#include "cli/context.h"

namespace gantry::cli {

struct MeasureOptions {
    std::vector<std::string> names;      // deployments
    std::vector<std::string> targets;    // NAME=URL,model=M,key=K
    uint32_t max_tokens = 64;
    double temperature = 0.7;
    uint64_t seed = 0;                   // 0: a random one, so that no run repeats the prompts of a former one
    bool ignore_eos = false;
    bool no_warmup = false;
};
void add_measure_options(CLI::App& verb, Context& context, MeasureOptions& options);

// The targets in the order given, names first. Needs a server only for names.
Result<std::vector<bench::TargetRuns>> resolve_targets(const Context& context, const MeasureOptions& options);

// A short request to each, not measured: the first one after a start pays for pages that later ones find mapped.
Status warm_up(const std::vector<bench::TargetRuns>& targets, const MeasureOptions& options);

// Table or JSON on stdout, failures on stderr. kFailed when any request failed.
int finish_report(const Context& context, const std::vector<bench::TargetRuns>& targets);

uint64_t fresh_nonce(const MeasureOptions& options);

}  // namespace gantry::cli
