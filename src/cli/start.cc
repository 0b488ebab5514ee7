// `gantry start`: wants the instances of stopped deployments again.

#include <CLI/CLI.hpp>

#include "cli/change.h"

namespace gantry::cli {

void add_start(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("start", "start stopped deployments");
    struct Options {
        std::vector<std::string> names;
        bool wait = false;
    };
    Options& options = context.own<Options>();
    verb->add_option("NAME", options.names, "deployments")->required();
    verb->add_flag("--wait,-w", options.wait, "wait until they serve");
    verb->add_flag("-q,--quiet", context.quiet, "no chatter");
    add_client_options(*verb, context);
    verb->callback([&context, &options] {
        context.action = [&context, &options] {
            Change change;
            change.body["stopped"] = false;
            change.done = "is starting";
            change.wait = options.wait;
            return change_deployments(context, options.names, change);
        };
    });
}

}  // namespace gantry::cli
