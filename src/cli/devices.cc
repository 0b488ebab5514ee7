// `gantry devices`: what the workers compute on, what holds it, the nodes of machines with several, and why a vendor's devices were not
// found; with --history what they did before.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "cli/client.h"
#include "cli/output.h"
#include "cli/sparkline.h"
#include "cli/words.h"
#include "devices/devices.h"

namespace gantry::cli {
namespace {

struct Options {
    std::string worker;   // empty: all
    bool history = false;
    std::string since{"1h"};
};

// "node 0: cores 0-51,104-155, 251.4 GiB, 50.6 GiB free, distances 10 21"
std::string node_text(const json::object& node) {
    const std::string cores = text_at(node, "cores");
    std::string text = fmt::format("node {}:", number_at(node, "node"));
    std::string between = " ";
    const auto add = [&](const std::string& part) { text += std::exchange(between, ", ") + part; };
    const auto known = [&](const char* key) { return node.if_contains(key) != nullptr && !node.at(key).is_null(); };
    const auto bytes = [&](const char* key) { return human_bytes(static_cast<uint64_t>(number_at(node, key))); };
    if (known("core_count")) add(cores.empty() ? std::string("no cores") : "cores " + cores);
    if (known("memory_total_bytes")) add(bytes("memory_total_bytes"));
    if (known("memory_free_bytes")) add(bytes("memory_free_bytes") + " free");
    std::string distances;
    for (const json::value& distance : array_at(node, "distances")) distances += fmt::format(" {}", distance.to_number<int64_t>());
    if (!distances.empty()) add("distances" + distances);
    return text;
}

// "2 cores, sm_80, driver 550.54, CUDA 12.4, vllm (pid 4242) holds 30.1 GiB"
std::string details_of(const json::object& device) {
    std::string text;
    const auto add = [&text](const std::string& part) { text += (text.empty() || part.empty() ? "" : ", ") + part; };
    if (const int64_t cores = number_at(device, "cores"); cores > 0) {
        add(fmt::format("{} core{}", cores, cores == 1 ? "" : "s"));
    }
    add(text_at(device, "chip"));
    add(text_at(device, "partition"));
    add(text_at(device, "driver_version").empty() ? "" : "driver " + text_at(device, "driver_version"));
    add(text_at(device, "runtime_version"));
    for (const json::value& item : array_at(device, "processes")) {
        const json::object& process = item.get_object();
        const std::string instance = text_at(process, "instance_id");
        const std::string name = text_at(process, "name").empty() ? "a process" : text_at(process, "name");
        add(fmt::format("{} (pid {}) holds {}", instance.empty() ? name : instance, number_at(process, "pid"),
                        human_bytes(static_cast<uint64_t>(number_at(process, "memory_bytes")))));
    }
    add(text_at(device, "details"));
    for (const json::value& node : array_at(device, "numa_nodes")) text += "; " + node_text(node.get_object());
    return text;
}

// Leaves what is of the worker that was asked for.
void keep_wanted(json::array& items, const std::string& prefix, const std::string& worker) {
    if (worker.empty()) {
        return;
    }
    const auto other = [&](const json::value& item) {
        return text_at(item.get_object(), prefix + "name") != worker && text_at(item.get_object(), prefix + "id") != worker;
    };
    items.erase(std::remove_if(items.begin(), items.end(), other), items.end());
}

int list_devices(const Context& context, const Options& options) {
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return fail(client.error());
    }
    Result<json::array> devices = client->list("/api/v1/devices");
    Result<json::array> workers = devices ? client->list("/api/v1/workers") : Result<json::array>(json::array());
    if (!devices || !workers) {
        return fail(devices ? workers.error() : devices.error());
    }
    keep_wanted(*workers, "", options.worker);
    keep_wanted(*devices, "worker_", options.worker);
    if (workers->empty() && !options.worker.empty()) {
        return fail(not_found(fmt::format("there is no worker \"{}\"", printable(options.worker))));
    }
    Table table({"WORKER", "DEVICE", "NAME", "MEMORY", "FREE", "USE", "TEMP", "DETAILS"});
    for (const json::value& item : *devices) {
        const json::object& device = item.get_object();
        const std::string problem = text_at(device, "problem");
        const auto bytes = [&](const char* key) { return human_bytes(static_cast<uint64_t>(number_at(device, key))); };
        const json::value* temperature = device.if_contains("temperature_celsius");
        const bool measured = temperature != nullptr && !temperature->is_null();
        table.add({text_at(device, "worker_name"),
                   fmt::format("{}/{}", text_at(device, "vendor"), number_at(device, "index")),
                   text_at(device, "name"),
                   {bytes("memory_total_bytes"), Colour::kNone, true},
                   {bytes("memory_free_bytes"), Colour::kNone, true},
                   {fmt::format("{:.0f} %", real_at(device, "utilization") * 100), Colour::kNone, true},
                   {measured ? fmt::format("{:.0f} C", real_at(device, "temperature_celsius")) : "", Colour::kNone, true},
                   {problem.empty() ? details_of(device) : problem, problem.empty() ? Colour::kNone : Colour::kRed}});
    }
    const int status = print_list(context, *devices, "id", table, "no devices: no worker has reported yet");
    if (context.json || context.quiet) {
        return status;
    }
    for (const json::value& item : *workers) {
        const json::object& worker = item.get_object();
        for (const json::value& text : array_at(worker, "device_notes")) {
            note(printable(text_at(worker, "name") + ": " + std::string(text.as_string())));
        }
    }
    return status;
}

using Values = std::vector<std::optional<double>>;

Values values_of(const json::object& device, const char* key) {
    Values values;
    for (const json::value& value : array_at(device, key)) {
        values.push_back(value.is_number() ? std::optional(value.to_number<double>()) : std::nullopt);
    }
    return values;
}

struct Extent {
    std::optional<double> mean, most;
};
Extent extent_of(const Values& values) {
    Extent out;
    double sum = 0;
    size_t count = 0;
    for (const std::optional<double>& value : values) {
        if (!value) continue;
        sum += *value;
        ++count;
        out.most = std::max(out.most, value);
    }
    if (count > 0) out.mean = sum / static_cast<double>(count);
    return out;
}

// A line a device: load and memory as they went, the latter up to the most it was.
void add_row(Table& table, const json::object& device) {
    constexpr size_t kColumns = 40;
    const auto right = [](const std::optional<double>& value, auto shown) {
        return Table::Cell(value ? shown(*value) : std::string(), Colour::kNone, true);
    };
    const auto percent = [](double share) { return fmt::format("{:.0f} %", share * 100); };
    const auto bytes = [](double value) { return human_bytes(static_cast<uint64_t>(value)); };
    const auto degrees = [](double value) { return fmt::format("{:.0f} C", value); };
    const Values use = values_of(device, "utilization"), memory = values_of(device, "memory_used_bytes");
    const Extent used = extent_of(memory), heat = extent_of(values_of(device, "temperature_celsius"));
    table.add({text_at(device, "worker_name"),
               fmt::format("{}/{}", text_at(device, "vendor"), number_at(device, "index")),
               sparkline(use, 1, kColumns, unicode()),
               right(extent_of(use).mean, percent),
               right(extent_of(values_of(device, "utilization_max")).most, percent),
               sparkline(memory, used.most.value_or(0), kColumns, unicode()),
               right(used.mean, bytes),
               right(used.most, bytes),
               right(heat.mean, degrees),
               right(heat.most, degrees)});
}

int show_history(const Context& context, const Options& options) {
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return fail(client.error());
    }
    std::vector<std::string> workers{options.worker};
    if (options.worker.empty()) {
        const Result<json::array> all = client->list("/api/v1/workers");
        if (!all) {
            return fail(all.error());
        }
        workers.clear();
        for (const json::value& item : *all) workers.push_back(text_at(item.get_object(), "id"));
    }
    const Result<int64_t> ago = parse_period(options.since);
    const std::string from = ago ? to_rfc3339(system_clock().wall() - std::chrono::seconds(*ago)) : options.since;
    json::array items;
    std::vector<std::string> notes;
    Table table({"WORKER", "DEVICE", "USE", "MEAN", "MAX", "MEMORY", "MEAN", "MAX", "TEMP", "MAX"});
    for (const std::string& worker : workers) {
        const Result<json::object> answer =
            client->get(fmt::format("/api/v1/workers/{}/devices/history?from={}", encode_segment(worker), encode_segment(from)));
        if (!answer) {
            return fail(answer.error());
        }
        for (const json::value& item : array_at(*answer, "items")) {
            json::object device = item.get_object();
            for (const char* key : {"worker_id", "worker_name", "from", "to", "step_seconds"}) device[key] = answer->at(key);
            add_row(table, device);
            items.emplace_back(std::move(device));
        }
        if (const std::string since = text_at(*answer, "measured_since"); since > text_at(*answer, "from")) {
            notes.push_back(printable(fmt::format("{}: measured since {}", text_at(*answer, "worker_name"), since)));
        }
    }
    const int status = print_list(context, items, "id", table, "no device was measured in that time");
    if (!context.json && !context.quiet) {
        for (const std::string& text : notes) note(text);
    }
    return status;
}

}  // namespace

void add_devices(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("devices", "list the devices of all workers, and why others were not found; what they did before");
    Options& options = context.own<Options>();
    verb->add_option("--worker", options.worker, "only of this worker, by name or id")->type_name("NAME");
    CLI::Option* history = verb->add_flag("--history", options.history, "load, memory and temperature over time; of the last 30 days");
    verb->add_option("--since", options.since, "of --history, from then on: 1h, 24h, 7d ago, a date, or a time in UTC")
        ->capture_default_str()
        ->needs(history)
        ->type_name("TIME");
    add_client_options(*verb, context);
    add_list_options(*verb, context);
    verb->callback([&context, &options] {
        context.action = [&context, &options] { return options.history ? show_history(context, options) : list_devices(context, options); };
    });
}

// Not for people: a worker starts it for each vendor, so that a driver that hangs or crashes takes nothing along.
void add_probe(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("probe", "");
    verb->group("");
    std::string& vendor = context.own<std::string>();
    verb->add_option("VENDOR", vendor)->required();
    verb->callback([&context, &vendor] { context.action = [&vendor] { return devices::probe_main(vendor); }; });
}

}  // namespace gantry::cli
