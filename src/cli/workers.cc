// `gantry workers`: the machines that run engines; their tokens are in worker_tokens.cc, `gantry drain` in drain.cc.

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "base/clock.h"
#include "cli/client.h"
#include "cli/objects.h"
#include "cli/output.h"
#include "cli/words.h"
#include "cli/worker_tokens.h"

namespace gantry::cli {
namespace {

int list_workers(const Context& context) {
    const Result<json::array> workers = list_of(context, "/api/v1/workers");
    if (!workers) {
        return fail(workers.error());
    }
    Table table({"NAME", "STATE", "VERSION", "SYSTEM", "ADDRESS", "DEVICES", "LAST REPORT", "LABELS"});
    for (const json::value& item : *workers) {
        const json::object& worker = item.get_object();
        const std::string state = text_at(worker, "state");
        const std::string reported = text_at(worker, "last_report_at");
        const int64_t ago = (to_unix_ms(system_clock().wall()) - to_unix_ms(from_rfc3339(reported))) / 1000;
        std::string labels;
        for (const auto& [name, value] : object_at(worker, "labels")) {
            labels += fmt::format("{}{}={}", labels.empty() ? "" : " ", std::string_view(name), std::string_view(value.as_string()));
        }
        const char* kept_free = !text_at(worker, "drain_by").empty() ? ", drained" : flag_at(worker, "cordoned") ? ", cordoned" : "";
        table.add({text_at(worker, "name"), {state + kept_free, colour_of_state(state)},
                   text_at(worker, "gantry_version"), text_at(worker, "os") + " " + text_at(worker, "arch"), text_at(worker, "address"),
                   {std::to_string(array_at(worker, "devices").size()), Colour::kNone, true},
                   state == "pending" ? "never" : fmt::format("{} ago", human_period(ago)), labels});
    }
    return print_list(context, *workers, "name", table,
                      "no workers; a server started without --no-worker brings one along, and machines join with `gantry worker`");
}

struct LabelOptions {
    std::string name;
    std::vector<std::string> labels;
};

// "NAME=VALUE" sets one, "NAME-" takes it away; what is not named stays.
int label_worker(const Context& context, const LabelOptions& options) {
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return fail(client.error());
    }
    const std::string path = "/api/v1/workers/" + encode_segment(options.name);
    const Result<json::value> worker = client->call("GET", path);
    if (!worker) {
        return fail(worker.error());
    }
    json::object labels = object_at(worker->as_object(), "labels");
    for (const std::string& word : options.labels) {
        const size_t equals = word.find('=');
        if (equals != std::string::npos && equals > 0) {
            labels[word.substr(0, equals)] = word.substr(equals + 1);
        } else if (equals == std::string::npos && word.size() > 1 && word.ends_with('-')) {
            labels.erase(word.substr(0, word.size() - 1));
        } else {
            fail(fmt::format("\"{}\": write NAME=VALUE to set a label, NAME- to take it away", word));
            return kWrongUsage;
        }
    }
    const json::object body{{"labels", std::move(labels)}, {"version", number_at(worker->as_object(), "version")}};
    return print_changed(context, client->call("PATCH", path, body), "worker",
                         [](const json::object& made) { return text_at(made, "name") + " is labelled"; });
}

struct CordonOptions {
    std::vector<std::string> names;
};

int cordon_workers(const Context& context, const CordonOptions& options, bool cordoned) {
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return fail(client.error());
    }
    int status = kDone;
    for (const std::string& name : options.names) {
        const int one = print_changed(context, client->call("PATCH", "/api/v1/workers/" + encode_segment(name), json::object{{"cordoned", cordoned}}),
                                      "worker", [cordoned](const json::object& made) {
                                          return text_at(made, "name") + (cordoned ? " takes no new instances" : " takes instances again");
                                      });
        status = one == kDone ? status : one;
    }
    return status;
}

void add_cordon(CLI::App& verb, Context& context, bool cordoned) {
    CLI::App* inner = verb.add_subcommand(cordoned ? "cordon" : "uncordon", cordoned ? "have workers take no new instances; what runs there runs on"
                                                                                   : "have workers take instances again; ends a drain, too");
    CordonOptions& options = context.own<CordonOptions>();
    inner->add_option("WORKER", options.names, "their names or ids")->required();
    add_client_options(*inner, context);
    inner->add_flag("--json", context.json, "print the workers as JSON");
    inner->add_flag("-q,--quiet", context.quiet, "no chatter");
    inner->callback([&context, &options, cordoned] {
        context.action = [&context, &options, cordoned] { return cordon_workers(context, options, cordoned); };
    });
}

void add_remove(CLI::App& verb, Context& context) {
    CLI::App* inner = verb.add_subcommand("rm", "forget workers that run nothing: drain them first");
    CordonOptions& options = context.own<CordonOptions>();
    inner->add_option("WORKER", options.names, "their names or ids")->required();
    add_client_options(*inner, context);
    inner->add_flag("-q,--quiet", context.quiet, "no chatter");
    inner->callback([&context, &options] {
        context.action = [&context, &options] { return remove_each(context, "/api/v1/workers", options.names, ""); };
    });
}

}  // namespace

void add_workers(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("workers", "list workers, label, cordon and remove them");
    verb->require_subcommand(0, 1);
    add_client_options(*verb, context);
    add_list_options(*verb, context);
    verb->callback([&context, verb] {
        if (verb->get_subcommands().empty()) {
            context.action = [&context] { return list_workers(context); };
        }
    });
    CLI::App* list = verb->add_subcommand("list", "list workers");
    add_client_options(*list, context);
    add_list_options(*list, context);
    list->callback([&context] { context.action = [&context] { return list_workers(context); }; });

    CLI::App* label = verb->add_subcommand("label", "set labels that deployments choose workers by");
    LabelOptions& options = context.own<LabelOptions>();
    label->add_option("WORKER", options.name, "its name or id")->required();
    label->add_option("LABEL", options.labels, "NAME=VALUE sets one, NAME- takes it away")->required();
    add_client_options(*label, context);
    label->add_flag("--json", context.json, "print the worker as JSON");
    label->add_flag("-q,--quiet", context.quiet, "no chatter");
    label->callback([&context, &options] { context.action = [&context, &options] { return label_worker(context, options); }; });
    add_cordon(*verb, context, true);
    add_cordon(*verb, context, false);
    add_remove(*verb, context);
    add_worker_tokens(*verb, context);
}

}  // namespace gantry::cli
