// `gantry sleep`: no instances until a request comes, or `gantry start`.

#include <CLI/CLI.hpp>

#include "cli/change.h"

namespace gantry::cli {

void add_sleep(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("sleep", "put deployments to sleep that nobody uses now; a request or `gantry start` wakes them");
    auto& names = context.own<std::vector<std::string>>();
    verb->add_option("NAME", names, "deployments")->required();
    verb->add_flag("-q,--quiet", context.quiet, "no chatter");
    add_client_options(*verb, context);
    verb->callback([&context, &names] {
        context.action = [&context, &names] {
            Change change;
            change.act = "sleep";
            change.done = "sleeps; the next request wakes it";
            return change_deployments(context, names, change);
        };
    });
}

}  // namespace gantry::cli
