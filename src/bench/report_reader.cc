// Reads what report.cc writes, for who shows reports that were kept.

#include <fmt/format.h>

#include "bench/bench.h"

namespace gantry::bench {
namespace {

std::string text_of(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

double number_of(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    return value != nullptr && value->is_number() ? value->to_number<double>() : 0;
}

uint32_t count_of(const json::object& object, std::string_view key) {
    const double number = number_of(object, key);
    return number > 0 && number < 4e9 ? static_cast<uint32_t>(number) : 0;
}

const json::array* array_of(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    return value != nullptr ? value->if_array() : nullptr;
}

Summary summary_of(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    const json::object* summary = value != nullptr ? value->if_object() : nullptr;
    if (summary == nullptr) {
        return {};
    }
    return {number_of(*summary, "mean"), number_of(*summary, "p50"), number_of(*summary, "p90"), number_of(*summary, "p99"),
            number_of(*summary, "max")};
}

Run run_of(const json::object& object) {
    Run run;
    run.concurrency = count_of(object, "concurrency");
    run.prompt_tokens = count_of(object, "prompt_tokens");
    run.output_tokens = count_of(object, "output_tokens");
    run.cached_tokens = count_of(object, "cached_tokens");
    run.wall_s = number_of(object, "wall_s");
    run.throughput_tok_s = number_of(object, "throughput_tok_s");
    run.client_cpu_s = number_of(object, "client_cpu_s");
    run.requests_ok = count_of(object, "requests_ok");
    run.requests_failed = count_of(object, "requests_failed");
    run.offered_rate = number_of(object, "offered_rate");
    run.ttft_ms = summary_of(object, "ttft_ms");
    run.tpot_ms = summary_of(object, "tpot_ms");
    run.itl_ms = summary_of(object, "itl_ms");
    run.e2e_ms = summary_of(object, "e2e_ms");
    return run;
}

Result<TargetRuns> target_of(const json::object& object, size_t index) {
    TargetRuns entry;
    entry.target.name = text_of(object, "name");
    entry.target.url = text_of(object, "url");
    entry.target.model = text_of(object, "model");
    entry.target.backend = text_of(object, "backend");
    entry.target.devices = text_of(object, "devices");
    entry.target.version = text_of(object, "version");
    entry.target.flags = text_of(object, "flags");
    entry.target.cards = count_of(object, "cards");
    entry.error = text_of(object, "error");
    const json::array* runs = array_of(object, "runs");
    if (runs == nullptr) {
        return invalid_argument(fmt::format("targets[{}] of the report has no \"runs\"", index));
    }
    for (const json::value& run : *runs) {
        if (!run.is_object()) {
            return invalid_argument(fmt::format("targets[{}] of the report has a run that is no object", index));
        }
        entry.runs.push_back(run_of(run.get_object()));
    }
    return entry;
}

}  // namespace

Result<std::vector<TargetRuns>> read_report(const json::object& report) {
    const json::array* targets = array_of(report, "targets");
    if (targets == nullptr || number_of(report, "version") != 1) {
        return invalid_argument("this is no report of gantry compare or gantry bench: it has no \"targets\", or another \"version\" than 1");
    }
    std::vector<TargetRuns> entries;
    for (const json::value& target : *targets) {
        if (!target.is_object()) {
            return invalid_argument(fmt::format("targets[{}] of the report is no object", entries.size()));
        }
        Result<TargetRuns> entry = target_of(target.get_object(), entries.size());
        if (!entry) {
            return entry.error();
        }
        entries.push_back(std::move(*entry));
    }
    return entries;
}

}  // namespace gantry::bench
