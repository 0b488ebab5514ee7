// `gantry stop`: no instances, but the deployment stays.

#include <CLI/CLI.hpp>

#include "cli/change.h"

namespace gantry::cli {

void add_stop(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("stop", "stop deployments; `gantry start` brings them back");
    auto& names = context.own<std::vector<std::string>>();
    verb->add_option("NAME", names, "deployments")->required();
    verb->add_flag("-q,--quiet", context.quiet, "no chatter");
    add_client_options(*verb, context);
    verb->callback([&context, &names] {
        context.action = [&context, &names] {
            Change change;
            change.body["stopped"] = true;
            change.done = "is stopping";
            return change_deployments(context, names, change);
        };
    });
}

}  // namespace gantry::cli
