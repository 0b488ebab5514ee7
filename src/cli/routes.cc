// `gantry routes`: public names that stand for several models.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>

#include "cli/client.h"
#include "cli/objects.h"
#include "cli/output.h"
#include "cli/words.h"

namespace gantry::cli {
namespace {

struct Options {
    std::string name;
    std::vector<std::string> targets;
    std::string fallback;
    bool disable = false;
    bool enable = false;
    std::vector<std::string> names;
};

std::string targets_text(const json::object& route) {
    std::string text;
    for (const json::value& item : array_at(route, "targets")) {
        const json::object& target = item.get_object();
        const json::value* weight = target.if_contains("weight");
        text += fmt::format("{}{}={}", text.empty() ? "" : " ", text_at(target, "model"),
                            weight != nullptr ? json::serialize(*weight) : "1");
    }
    return text;
}

// "MODEL" or "MODEL=WEIGHT".
Result<json::object> parse_target(const std::string& text) {
    const size_t mark = text.rfind('=');
    uint32_t weight = 1;
    if (mark != std::string::npos) {
        const char* const end = text.data() + text.size();
        const auto [at, failure] = std::from_chars(text.data() + mark + 1, end, weight);
        if (failure != std::errc() || at != end) {
            return invalid_argument(fmt::format("\"{}\": a target is a model, or MODEL=WEIGHT with a whole number", text));
        }
    }
    return json::object{{"model", text.substr(0, mark)}, {"weight", weight}};
}

Status put_route(const Options& options, json::object& body) {
    json::array targets;
    for (const std::string& text : options.targets) {
        Result<json::object> target = parse_target(text);
        if (!target) {
            return target.error();
        }
        targets.emplace_back(*std::move(target));
    }
    if (!targets.empty()) {
        body["targets"] = std::move(targets);
    }
    if (!options.fallback.empty()) {
        body["fallback"] = options.fallback == "none" ? json::value(nullptr) : json::value(options.fallback);
    }
    if (options.disable || options.enable) {
        body["disabled"] = options.disable;
    }
    return Ok{};
}

int list_routes(const Context& context) {
    const Result<json::array> routes = list_of(context, "/api/v1/routes");
    if (!routes) {
        return fail(routes.error());
    }
    Table table({"NAME", "TARGETS", "FALLBACK", "STATE", "CREATED"});
    for (const json::value& item : *routes) {
        const json::object& route = item.get_object();
        const std::string fallback = text_at(route, "fallback");
        table.add({text_at(route, "name"), targets_text(route), fallback.empty() ? "none" : fallback,
                   flag_at(route, "disabled") ? "disabled" : "enabled", text_at(route, "created_at")});
    }
    return print_list(context, *routes, "name", table, "no routes; `gantry routes create NAME --target MODEL` makes one");
}

int send(const Context& context, const char* method, const std::string& path, const json::object& body, const char* done) {
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return fail(client.error());
    }
    return print_changed(context, client->call(method, path, body), "route", [&](const json::object& route) {
        return fmt::format("{} {}: {}", printable(text_at(route, "name")), done, printable(targets_text(route)));
    });
}

int create_route(const Context& context, const Options& options) {
    json::object body;
    body["name"] = options.name;
    if (const Status put = put_route(options, body); !put) {
        fail(put.error());
        return kWrongUsage;
    }
    return send(context, "POST", "/api/v1/routes", body, "is made");
}

int edit_route(const Context& context, const Options& options) {
    json::object body;
    if (const Status put = put_route(options, body); !put) {
        fail(put.error());
        return kWrongUsage;
    }
    if (body.empty()) {
        fail("nothing to change; `gantry routes edit --help` lists what can be");
        return kWrongUsage;
    }
    return send(context, "PATCH", "/api/v1/routes/" + encode_segment(options.name), body, "is changed, in force from now on");
}

CLI::Option* add_route_options(CLI::App& verb, Context& context, Options& options) {
    verb.add_option("--fallback", options.fallback, "the model that takes over when a target can't answer; none: none")->type_name("NAME");
    verb.add_flag("--json", context.json, "print the route as JSON");
    return verb.add_option("--target", options.targets, "a model, with its share of the requests; may be repeated")
        ->take_all()
        ->allow_extra_args(false)
        ->type_name("NAME[=WEIGHT]");
}

}  // namespace

void add_routes(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("routes", "list, create, edit and remove routes: public names for several models");
    verb->require_subcommand(1);
    Options& options = context.own<Options>();

    CLI::App* list = verb->add_subcommand("list", "list routes")->alias("ls");
    add_client_options(*list, context);
    add_list_options(*list, context);
    list->callback([&context] { context.action = [&context] { return list_routes(context); }; });

    CLI::App* create = verb->add_subcommand("create", "make a route");
    create->add_option("NAME", options.name, "what clients ask for")->required();
    add_route_options(*create, context, options)->required();
    create->add_flag("-q,--quiet", context.quiet, "no chatter");
    add_client_options(*create, context);
    create->callback([&context, &options] { context.action = [&context, &options] { return create_route(context, options); }; });

    CLI::App* edit = verb->add_subcommand("edit", "change a route; what is not named stays as it is");
    edit->add_option("ROUTE", options.name, "its name or id")->required();
    add_route_options(*edit, context, options);
    CLI::Option* disable = edit->add_flag("--disable", options.disable, "its name is unknown to clients until it is enabled again");
    edit->add_flag("--enable", options.enable, "take it again")->excludes(disable);
    edit->add_flag("-q,--quiet", context.quiet, "no chatter");
    add_client_options(*edit, context);
    edit->callback([&context, &options] { context.action = [&context, &options] { return edit_route(context, options); }; });

    CLI::App* remove = verb->add_subcommand("rm", "remove routes by name or id");
    remove->add_option("ROUTE", options.names)->required();
    remove->add_flag("-q,--quiet", context.quiet, "no chatter");
    add_client_options(*remove, context);
    remove->callback([&context, &options] {
        context.action = [&context, &options] { return remove_each(context, "/api/v1/routes", options.names, "; its models stay"); };
    });
}

}  // namespace gantry::cli
