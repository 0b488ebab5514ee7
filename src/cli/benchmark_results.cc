#include "cli/benchmark_results.h"

#include <fmt/format.h>

#include <algorithm>

#include "bench/bench.h"
#include "cli/progress.h"
#include "cli/words.h"

namespace gantry::cli {
namespace {

void print_runs(const std::vector<bench::TargetRuns>& targets) {
    const bool any = std::any_of(targets.begin(), targets.end(), [](const bench::TargetRuns& entry) { return !entry.runs.empty(); });
    if (any) {
        print(bench::table(targets, terminal_columns(), colours(), unicode()));
    }
}

std::string what_serves(const bench::TargetRuns& entry) {
    std::string text = entry.target.backend;
    for (const std::string& part : {entry.target.devices, entry.target.version}) {
        text += part.empty() ? "" : (text.empty() ? "" : ", ") + part;
    }
    return text;
}

// Targets of several benchmarks in one table: where two have one name, the benchmark's id stands behind it.
void append_targets(const json::object& benchmark, std::vector<bench::TargetRuns> more, std::vector<bench::TargetRuns>& all) {
    const std::string id = text_at(benchmark, "id");
    for (bench::TargetRuns& entry : more) {
        const auto same = [&](const bench::TargetRuns& other) { return other.target.name == entry.target.name; };
        const bool taken = std::any_of(all.begin(), all.end(), same);
        if (taken) {
            entry.target.name += " " + id.substr(id.size() > 4 ? id.size() - 4 : 0);
        }
        all.push_back(std::move(entry));
    }
}

}  // namespace

Colour colour_of_benchmark(const std::string& state) {
    return state == "done" ? Colour::kGreen : state == "failed" ? Colour::kRed : state == "running" ? Colour::kYellow : Colour::kNone;
}

std::string state_of_benchmark(const json::object& benchmark) {
    const std::string state = text_at(benchmark, "state");
    if (state == "running") {
        return fmt::format("running {:.0f} %", real_at(object_at(benchmark, "progress"), "fraction") * 100);
    }
    return state == "queued" ? fmt::format("queued, {} before it", number_at(benchmark, "before_it")) : state;
}

int print_benchmark(const Context& context, const json::object& benchmark) {
    const std::string state = text_at(benchmark, "state");
    const int status = state == "failed" ? kFailed : kDone;
    if (context.json) {
        print(json::serialize(benchmark) + "\n");
        return flushed(status);
    }
    if (context.quiet) {
        return status;
    }
    const std::string reason = text_at(benchmark, "reason");
    const std::string told = coloured(state_of_benchmark(benchmark), colour_of_benchmark(state));
    print(fmt::format("{}  {}\n{}{}{}\n", text_at(benchmark, "id"), printable(text_at(benchmark, "name")), told, reason.empty() ? "" : ": ",
                      printable(reason)));
    const Result<std::vector<bench::TargetRuns>> targets = bench::read_report(object_at(benchmark, "result"));
    if (!targets) {
        return flushed(status);   // No run is done.
    }
    for (const bench::TargetRuns& entry : *targets) {
        print(fmt::format("{}: {}\n", printable(entry.target.name), printable(what_serves(entry))));
        if (!entry.error.empty()) {
            print(fmt::format("  {}\n", coloured(printable(entry.error), Colour::kRed)));
        }
    }
    print("\n");
    print_runs(*targets);
    return flushed(status);
}

Result<json::object> follow_benchmark(const Context& context, const ApiClient& client, const std::string& id) {
    Progress progress(!context.quiet && !context.json);
    bool over = false;
    bool gone = false;
    const Status watched = client.events("/api/v1/watch?kinds=benchmarks", [&](const std::string& event, const json::object& data) {
        const json::object& benchmark = object_at(data, "object");
        if (text_at(benchmark, "id") != id) {
            return true;
        }
        gone = event == "deleted";
        const std::string state = text_at(benchmark, "state");
        over = state != "queued" && state != "running";
        const json::object& now = object_at(benchmark, "progress");
        const std::string reason = text_at(benchmark, "reason");
        const std::string target = text_at(now, "target");
        const std::string where = target.empty() ? "" : fmt::format(", {} at {}", target, number_at(now, "concurrency"));
        progress.show(state_of_benchmark(benchmark) + (reason.empty() ? where : ", " + reason),
                      state == "running" ? real_at(now, "fraction") : -1);
        return !over && !gone;
    });
    progress.clear();
    if (gone) {
        return not_found(fmt::format("benchmark {} was deleted meanwhile", id));
    }
    if (!over) {
        return unavailable(fmt::format("the server ended the stream{}; `gantry benchmarks show {}` says how far it is",
                                       watched ? "" : ": " + watched.error().message, id));
    }
    return client.get("/api/v1/benchmarks/" + encode_segment(id));
}

int print_benchmarks(const Context& context, const json::array& benchmarks) {
    std::vector<bench::TargetRuns> targets;
    for (const json::value& item : benchmarks) {
        const json::object& benchmark = item.as_object();
        Result<std::vector<bench::TargetRuns>> runs = bench::read_report(object_at(benchmark, "result"));
        if (!runs) {
            return fail(fmt::format("{} has no results: it is {}", text_at(benchmark, "id"), text_at(benchmark, "state")));
        }
        append_targets(benchmark, std::move(*runs), targets);
    }
    if (context.json) {
        print(json::serialize(benchmarks) + "\n");
        return flushed(kDone);
    }
    for (const bench::TargetRuns& entry : targets) {
        print(fmt::format("{}: {}\n", printable(entry.target.name), printable(what_serves(entry))));
    }
    print("\n");
    print_runs(targets);
    return flushed(kDone);
}

}  // namespace gantry::cli
