// `gantry rollout`: how an update comes along, what ran before, and the way back.

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "base/clock.h"
#include "cli/client.h"
#include "cli/output.h"
#include "cli/waiting.h"
#include "cli/words.h"

namespace gantry::cli {
namespace {

struct Options {
    std::string name;
    int64_t to = 0;
    bool wait = false;
    uint32_t wait_seconds = 1800;
};

std::string path_of(const json::object& deployment) { return "/api/v1/deployments/" + encode_segment(text_at(deployment, "id")); }

std::string told(const json::object& deployment) {
    const json::object& rollout = object_at(object_at(deployment, "status"), "rollout");
    const std::string reason = text_at(rollout, "reason");
    const int64_t old = number_at(rollout, "old_replicas");
    return fmt::format("{}: revision {} {}, {} of {} replicas run it{}{}", printable(text_at(deployment, "name")),
                       number_at(deployment, "generation"), text_at(rollout, "state"), number_at(rollout, "updated_replicas"),
                       number_at(deployment, "replicas"), old > 0 ? fmt::format(", {} of others left", old) : "",
                       reason.empty() ? "" : ": " + printable(reason));
}

// The deployment as it is in the end.
int finish(const Context& context, const ApiClient& client, const Options& options, json::object deployment) {
    Status waited = Ok{};
    if (options.wait) {
        waited = wait_for_rollout(client, text_at(deployment, "name"), !context.quiet && !context.json,
                                  std::chrono::seconds(options.wait_seconds));
        const Result<json::object> now = client.get(path_of(deployment));
        if (now) {
            deployment = *now;
        }
    }
    if (context.json) {
        print(json::serialize(deployment) + "\n");
    } else if (!context.quiet && waited) {
        print(told(deployment) + "\n");
    }
    return flushed(waited ? kDone : fail(waited.error()));
}

int show_history(const Context& context, const ApiClient& client, const Options&, json::object deployment) {
    const Result<json::array> revisions = client.list(path_of(deployment) + "/revisions");
    if (!revisions) {
        return fail(revisions.error());
    }
    Table table({"REVISION", "MADE", "SERVED", "BACKEND", "SOURCE"});
    for (const json::value& item : *revisions) {
        const json::object& revision = item.get_object();
        const std::string good = text_at(revision, "good_at");
        table.add({{fmt::format("{}{}", number_at(revision, "revision"), flag_at(revision, "wanted") ? " (wanted)" : ""),
                    flag_at(revision, "wanted") ? Colour::kBold : Colour::kNone},
                   text_at(revision, "created_at"), good.empty() ? "never" : good, text_at(revision, "backend"),
                   text_at(revision, "source")});
    }
    return print_list(context, *revisions, "revision", table, "there are no revisions");
}

int undo(const Context& context, const ApiClient& client, const Options& options, json::object deployment) {
    json::object body;
    if (options.to > 0) {
        body["revision"] = options.to;
    }
    const Result<json::value> changed = client.call("POST", path_of(deployment) + "/rollback", body);
    if (!changed) {
        return fail(changed.error());
    }
    return finish(context, client, options, changed->is_object() ? changed->get_object() : std::move(deployment));
}

using Act = int (*)(const Context&, const ApiClient&, const Options&, json::object deployment);

int run(const Context& context, const Options& options, Act act) {
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return fail(client.error());
    }
    const Result<json::object> deployment = client->deployment(options.name);
    return deployment ? act(context, *client, options, *deployment) : fail(deployment.error());
}

void add_waiting(CLI::App& verb, Options& options) {
    verb.add_flag("--wait,-w", options.wait, "until all replicas run it; exit 1 with the reason when it is taken back");
    verb.add_option("--wait-seconds", options.wait_seconds, "how long --wait waits")->capture_default_str()->type_name("N");
}

}  // namespace

void add_rollout(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("rollout", "how an update comes along, what ran before, and the way back");
    verb->require_subcommand(1);
    Options& options = context.own<Options>();
    const auto add = [&](const char* name, const char* what, Act act) {
        CLI::App* one = verb->add_subcommand(name, what);
        one->add_option("NAME", options.name, "a deployment")->required();
        add_client_options(*one, context);
        one->callback([&context, &options, act] { context.action = [&context, &options, act] { return run(context, options, act); }; });
        return one;
    };
    CLI::App* status = add("status", "how far the wanted revision has come", finish);
    add_waiting(*status, options);
    status->add_flag("--json", context.json, "print the deployment as JSON");
    status->add_flag("-q,--quiet", context.quiet, "no chatter");
    add_list_options(*add("history", "the revisions there are, newest first", show_history), context);
    CLI::App* back = add("undo", "go back to the revision that served before", undo);
    back->add_option("--to", options.to, "this revision")->check(CLI::PositiveNumber)->type_name("N");
    add_waiting(*back, options);
    back->add_flag("--json", context.json, "print the deployment as JSON");
    back->add_flag("-q,--quiet", context.quiet, "no chatter");
}

}  // namespace gantry::cli
