// `gantry scale`: how many instances a deployment should have.

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/change.h"
#include "domain/deployment.h"

namespace gantry::cli {

void add_scale(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("scale", "set the number of instances of a deployment");
    struct Options {
        std::string name;
        uint32_t replicas = 0;
        bool wait = false;
    };
    Options& options = context.own<Options>();
    verb->add_option("NAME", options.name, "a deployment")->required();
    verb->add_option("N", options.replicas, "instances")->required()->check(CLI::Range(0u, kReplicasMax));
    verb->add_flag("--wait,-w", options.wait, "wait until they serve");
    verb->add_flag("-q,--quiet", context.quiet, "no chatter");
    add_client_options(*verb, context);
    verb->callback([&context, &options] {
        context.action = [&context, &options] {
            Change change;
            change.body["replicas"] = options.replicas;
            change.done = fmt::format("is scaled to {}", options.replicas);
            change.wait = options.wait && options.replicas > 0;
            return change_deployments(context, {options.name}, change);
        };
    });
}

}  // namespace gantry::cli
