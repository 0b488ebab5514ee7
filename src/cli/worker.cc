// `gantry worker`: workers on machines of their own.

#include <CLI/CLI.hpp>

#include "cli/context.h"

namespace gantry::cli {

void add_worker(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("worker", "join this machine to a server (comes in a later version)");
    struct Options {
        std::string server;
        std::string token_file;
    };
    Options& options = context.own<Options>();
    verb->add_option("--server", options.server, "the server's address")->type_name("URL");
    verb->add_option("--token-file", options.token_file, "a file with the join token")->type_name("FILE");
    verb->callback([&context] {
        context.action = [] {
            return fail(std::string("joining another machine to a server comes in a later version; this one runs engines on the "
                                    "server's own machine only. Start `gantry serve` there, it brings its worker along"));
        };
    });
}

}  // namespace gantry::cli
