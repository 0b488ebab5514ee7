// `gantry rm`: deployments go, with their instances.

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>

#include "cli/client.h"
#include "cli/output.h"
#include "cli/words.h"

namespace gantry::cli {
namespace {

struct Options {
    std::vector<std::string> names;
    bool yes = false;
};

int remove_deployments(const Context& context, const Options& options) {
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return fail(client.error());
    }
    if (!options.yes) {
        if (isatty(STDIN_FILENO) != 1) {
            fail(std::string("rm ends running models; add --yes to say that this is meant"));
            return kWrongUsage;
        }
        std::fputs(fmt::format("Remove {} and stop what runs of it? [y/N] ", printable(fmt::format("{}", fmt::join(options.names, ", "))))
                       .c_str(),
                   stderr);
        std::string answer;
        std::getline(std::cin, answer);
        if (answer != "y" && answer != "Y" && answer != "yes") {
            note("nothing was removed");
            return kFailed;
        }
    }
    int status = kDone;
    for (const std::string& name : options.names) {
        const Result<json::object> found = client->deployment(name);
        if (!found) {
            status = fail(found.error());
            continue;
        }
        const Result<json::value> removed =
            client->call("DELETE", "/api/v1/deployments/" + encode_segment(text_at(*found, "id")));
        if (!removed) {
            status = fail(removed.error());
        } else if (!context.quiet) {
            note(fmt::format("{} is removed", printable(name)));
        }
    }
    return status;
}

}  // namespace

void add_rm(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("rm", "remove deployments");
    Options& options = context.own<Options>();
    verb->add_option("NAME", options.names, "deployments")->required();
    verb->add_flag("--yes,-y", options.yes, "don't ask");
    verb->add_flag("-q,--quiet", context.quiet, "no chatter");
    add_client_options(*verb, context);
    verb->callback([&context, &options] { context.action = [&context, &options] { return remove_deployments(context, options); }; });
}

}  // namespace gantry::cli
