// `gantry devices`: what the workers compute on.

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/objects.h"
#include "cli/output.h"
#include "cli/words.h"

namespace gantry::cli {
namespace {

int list_devices(const Context& context) {
    const Result<json::array> devices = list_of(context, "/api/v1/devices");
    if (!devices) {
        return fail(devices.error());
    }
    Table table({"WORKER", "DEVICE", "NAME", "CORES", "MEMORY", "FREE", "USE", "DETAILS"});
    for (const json::value& item : *devices) {
        const json::object& device = item.get_object();
        const std::string problem = text_at(device, "problem");
        const auto bytes = [&](const char* key) { return human_bytes(static_cast<uint64_t>(number_at(device, key))); };
        table.add({text_at(device, "worker_name"),
                   fmt::format("{}/{}", text_at(device, "vendor"), number_at(device, "index")),
                   text_at(device, "name"),
                   {std::to_string(number_at(device, "cores")), Colour::kNone, true},
                   {bytes("memory_total_bytes"), Colour::kNone, true},
                   {bytes("memory_free_bytes"), Colour::kNone, true},
                   {fmt::format("{:.0f} %", real_at(device, "utilization") * 100), Colour::kNone, true},
                   {problem.empty() ? text_at(device, "details") : problem, problem.empty() ? Colour::kNone : Colour::kRed}});
    }
    return print_list(context, *devices, "id", table, "no devices: no worker has reported yet");
}

}  // namespace

void add_devices(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("devices", "list the devices of all workers");
    add_client_options(*verb, context);
    add_list_options(*verb, context);
    verb->callback([&context] { context.action = [&context] { return list_devices(context); }; });
}

}  // namespace gantry::cli
