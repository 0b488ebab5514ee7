// `gantry workers`: the machines that run engines.

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "base/clock.h"
#include "cli/objects.h"
#include "cli/output.h"
#include "cli/words.h"

namespace gantry::cli {
namespace {

int list_workers(const Context& context) {
    const Result<json::array> workers = list_of(context, "/api/v1/workers");
    if (!workers) {
        return fail(workers.error());
    }
    Table table({"NAME", "STATE", "VERSION", "ADDRESS", "DEVICES", "LAST REPORT"});
    for (const json::value& item : *workers) {
        const json::object& worker = item.get_object();
        const std::string state = text_at(worker, "state");
        const std::string reported = text_at(worker, "last_report_at");
        const int64_t ago = (to_unix_ms(system_clock().wall()) - to_unix_ms(from_rfc3339(reported))) / 1000;
        table.add({text_at(worker, "name"),
                   {state + (flag_at(worker, "cordoned") ? ", cordoned" : ""), colour_of_state(state)},
                   text_at(worker, "gantry_version"), text_at(worker, "address"),
                   {std::to_string(array_at(worker, "devices").size()), Colour::kNone, true},
                   state == "pending" ? "never" : fmt::format("{} ago", human_period(ago))});
    }
    return print_list(context, *workers, "name", table, "no workers; a server started without --no-worker brings one along");
}

}  // namespace

void add_workers(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("workers", "list workers");
    add_client_options(*verb, context);
    add_list_options(*verb, context);
    verb->callback([&context] { context.action = [&context] { return list_workers(context); }; });
}

}  // namespace gantry::cli
