// `gantry rm`: deployments go, with their instances; or the files of hubs' models that nobody uses.

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <optional>

#include "cli/client.h"
#include "cli/objects.h"
#include "cli/output.h"
#include "cli/words.h"

namespace gantry::cli {
namespace {

struct Options {
    std::vector<std::string> names;
    bool yes = false;
    bool files = false;
    std::string worker;
};

// Yes: it is meant. An exit status: it is not.
std::optional<int> unless_confirmed(const Options& options, const std::string& question, const char* without_terminal) {
    if (options.yes) {
        return std::nullopt;
    }
    if (isatty(STDIN_FILENO) != 1) {
        fail(std::string(without_terminal));
        return kWrongUsage;
    }
    std::fputs(fmt::format("{}? [y/N] ", printable(question)).c_str(), stderr);
    std::string answer;
    std::getline(std::cin, answer);
    if (answer != "y" && answer != "Y" && answer != "yes") {
        note("nothing was removed");
        return kFailed;
    }
    return std::nullopt;
}

int remove_files(const Context& context, const Options& options) {
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return fail(client.error());
    }
    const std::string question = fmt::format("Delete the files of {}", fmt::join(options.names, ", "));
    if (const auto status = unless_confirmed(options, question, "rm --files deletes what was downloaded; add --yes to say that this is meant")) {
        return *status;
    }
    int status = kDone;
    for (const std::string& source : options.names) {
        const Result<std::string> path = path_of_model_files(*client, source, options.worker);
        const Result<json::value> removed = path ? client->call("DELETE", *path) : Result<json::value>(path.error());
        if (!removed) {
            status = fail(removed.error());
        } else if (!context.quiet) {
            note(fmt::format("the files of {} are deleted", printable(source)));
        }
    }
    return status;
}

int remove_deployments(const Context& context, const Options& options) {
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return fail(client.error());
    }
    const std::string question = fmt::format("Remove {} and stop what runs of it", fmt::join(options.names, ", "));
    if (const auto status = unless_confirmed(options, question, "rm ends running models; add --yes to say that this is meant")) {
        return *status;
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
    CLI::App* verb = app.add_subcommand("rm", "remove deployments, or downloaded files");
    Options& options = context.own<Options>();
    verb->add_option("NAME", options.names, "deployments; with --files sources")->required();
    verb->add_flag("--files", options.files, "delete the files of these sources from the server's machine instead");
    verb->add_option("--worker", options.worker, "with --files: from this worker's machine")->type_name("WORKER");
    verb->add_flag("--yes,-y", options.yes, "don't ask");
    verb->add_flag("-q,--quiet", context.quiet, "no chatter");
    add_client_options(*verb, context);
    verb->callback([&context, &options] { context.action = [&context, &options] { return options.files ? remove_files(context, options)
        : remove_deployments(context, options); }; });
}

}  // namespace gantry::cli
