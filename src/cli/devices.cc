// `gantry devices`: what the workers compute on, what holds it, the nodes of machines with several, and why a vendor's devices were not found.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <utility>

#include "cli/client.h"
#include "cli/output.h"
#include "cli/words.h"
#include "devices/devices.h"

namespace gantry::cli {
namespace {

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

int list_devices(const Context& context) {
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return fail(client.error());
    }
    const Result<json::array> devices = client->list("/api/v1/devices");
    const Result<json::array> workers = devices ? client->list("/api/v1/workers") : Result<json::array>(json::array());
    if (!devices || !workers) {
        return fail(devices ? workers.error() : devices.error());
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

}  // namespace

void add_devices(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("devices", "list the devices of all workers, and why others were not found");
    add_client_options(*verb, context);
    add_list_options(*verb, context);
    verb->callback([&context] { context.action = [&context] { return list_devices(context); }; });
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
