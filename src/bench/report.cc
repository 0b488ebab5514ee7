// The report object of contract.md, and what is known of the machine it was measured on.

#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string_view>

#include "base/clock.h"
#include "bench/bench.h"

namespace gantry::bench {
namespace {

// The value of the first "key : value" line of a /proc file; empty: none.
std::string proc_value(const char* path, std::string_view key) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
        if (!line.starts_with(key)) {
            continue;
        }
        const size_t colon = line.find(':');
        if (colon == std::string::npos) {
            continue;
        }
        const size_t start = line.find_first_not_of(" \t", colon + 1);
        return start == std::string::npos ? std::string() : line.substr(start);
    }
    return {};
}

json::object machine(const std::string& command_line) {
    json::object machine;
    machine["cpu"] = proc_value("/proc/cpuinfo", "model name");
    cpu_set_t set;
    CPU_ZERO(&set);
    const bool known = sched_getaffinity(0, sizeof(set), &set) == 0;
    machine["cores"] = known ? CPU_COUNT(&set) : static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
    const std::string memory = proc_value("/proc/meminfo", "MemTotal");
    machine["memory_bytes"] = std::strtoull(memory.c_str(), nullptr, 10) * 1024;
    utsname system{};
    if (uname(&system) == 0) {
        machine["kernel"] = std::string(system.sysname) + " " + system.release;
        machine["arch"] = system.machine;
    }
    double load[3] = {};
    json::array average;
    if (getloadavg(load, 3) == 3) {
        for (const double value : load) {
            average.emplace_back(std::round(value * 100) / 100);
        }
    }
    machine["load_average"] = std::move(average);
    machine["command_line"] = command_line;
    machine["measured_at"] = to_rfc3339(system_clock().wall());
    return machine;
}

// To the microsecond: what lies below is the clock's noise and makes the file longer.
double rounded(double value) { return std::round(value * 1000) / 1000; }

json::object to_json(const Summary& summary) {
    json::object object;
    object["mean"] = rounded(summary.mean);
    object["p50"] = rounded(summary.p50);
    object["p90"] = rounded(summary.p90);
    object["p99"] = rounded(summary.p99);
    object["max"] = rounded(summary.max);
    return object;
}

json::value split_time(double ms) { return ms < 0 ? json::value(nullptr) : json::value(rounded(ms)); }

json::object to_json(const RequestSample& sample) {
    json::object object;
    object["ok"] = sample.ok;
    if (!sample.ok) {
        object["error"] = sample.error;
    }
    object["start_s"] = rounded(sample.start_s);
    object["late_ms"] = rounded(sample.late_ms);
    object["turn"] = sample.turn;
    object["ttft_ms"] = rounded(sample.ttft_ms);
    object["e2e_ms"] = rounded(sample.e2e_ms);
    object["prompt_tokens"] = sample.prompt_tokens;
    object["output_tokens"] = sample.output_tokens;
    object["cached_tokens"] = sample.cached_tokens;
    object["counted_from"] = sample.counted_from_usage ? "usage" : "events";
    json::object server;
    server["queue_ms"] = split_time(sample.queue_ms);
    server["prefill_ms"] = split_time(sample.prefill_ms);
    server["decode_ms"] = split_time(sample.decode_ms);
    object["server"] = std::move(server);
    json::array times;
    times.reserve(sample.token_ms.size());
    for (const double ms : sample.token_ms) {
        times.emplace_back(rounded(ms));
    }
    if (sample.token_ms_left_out) {
        object["token_ms"] = nullptr;
    } else {
        object["token_ms"] = std::move(times);
    }
    return object;
}

const char* counted_from(const Run& run) {
    bool usage = false;
    bool events = false;
    for (const RequestSample& sample : run.samples) {
        (sample.counted_from_usage ? usage : events) |= sample.ok;
    }
    return usage && events ? "mixed" : (events ? "events" : "usage");
}

// A goodput never stands without its SLO.
json::object goodput(const Run& run) {
    json::object slo;
    slo["ttft_ms"] = run.slo->ttft_ms > 0 ? json::value(run.slo->ttft_ms) : json::value(nullptr);
    slo["tpot_ms"] = run.slo->tpot_ms > 0 ? json::value(run.slo->tpot_ms) : json::value(nullptr);
    json::object object;
    object["slo"] = std::move(slo);
    object["requests_met"] = run.slo_met;
    object["share_met"] = rounded(run.samples.empty() ? 0 : double(run.slo_met) / static_cast<double>(run.samples.size()));
    object["requests_per_s"] = rounded(run.wall_s > 0 ? run.slo_met / run.wall_s : 0);
    return object;
}

}  // namespace

json::object to_json(const Run& run) {
    json::object object;
    object["concurrency"] = run.concurrency;
    object["prompt_tokens"] = run.prompt_tokens;
    object["output_tokens"] = run.output_tokens;
    object["wall_s"] = std::round(run.wall_s * 1e6) / 1e6;
    object["throughput_tok_s"] = rounded(run.throughput_tok_s);
    object["client_cpu_s"] = rounded(run.client_cpu_s);
    object["requests_ok"] = run.requests_ok;
    object["requests_failed"] = run.requests_failed;
    object["counted_from"] = counted_from(run);
    object["ttft_ms"] = to_json(run.ttft_ms);
    object["tpot_ms"] = to_json(run.tpot_ms);
    object["itl_ms"] = to_json(run.itl_ms);
    object["e2e_ms"] = to_json(run.e2e_ms);
    object["cached_tokens"] = run.cached_tokens;
    if (run.offered_rate > 0) {
        object["offered_rate"] = rounded(run.offered_rate);
        object["achieved_rate"] = rounded(run.wall_s > 0 ? run.requests_ok / run.wall_s : 0);
    }
    if (run.slo) {
        object["goodput"] = goodput(run);
    }
    json::array samples;
    for (const RequestSample& sample : run.samples) {
        samples.push_back(to_json(sample));
    }
    object["samples"] = std::move(samples);
    if (run.samples_left_out > 0) {
        object["samples_left_out"] = run.samples_left_out;
    }
    return object;
}

json::object report(const std::vector<TargetRuns>& targets, const std::string& commit, const std::string& command_line) {
    json::object object;
    object["version"] = 1;
    object["commit"] = commit;
    object["machine"] = machine(command_line);
    json::array list;
    for (const TargetRuns& entry : targets) {
        json::object target;
        target["name"] = entry.target.name;
        target["url"] = entry.target.url;
        target["model"] = entry.target.model;
        target["backend"] = entry.target.backend;
        target["devices"] = entry.target.devices;
        target["version"] = entry.target.version;
        target["flags"] = entry.target.flags;
        if (entry.target.cards > 0) {
            target["cards"] = entry.target.cards;
        }
        if (!entry.error.empty()) {
            target["error"] = entry.error;
        }
        json::array runs;
        for (const Run& run : entry.runs) {
            runs.push_back(to_json(run));
        }
        target["runs"] = std::move(runs);
        list.push_back(std::move(target));
    }
    object["targets"] = std::move(list);
    return object;
}

}  // namespace gantry::bench
