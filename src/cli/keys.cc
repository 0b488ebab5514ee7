// `gantry keys`: API keys.

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "base/clock.h"
#include "base/edit_distance.h"
#include "cli/client.h"
#include "cli/limits.h"
#include "cli/objects.h"
#include "cli/output.h"
#include "cli/words.h"

namespace gantry::cli {
namespace {

struct Options {
    std::string name;
    std::string expires;
    std::string user;
    std::vector<std::string> scopes;
    LimitOptions limits;
    std::string key;
    std::string new_name;
    bool disable = false;
    bool enable = false;
    std::vector<std::string> names;
};

int list_keys(const Context& context) {
    const Result<json::array> keys = list_of(context, "/api/v1/keys");
    if (!keys) {
        return fail(keys.error());
    }
    Table table({"KEY", "NAME", "USER", "STATE", "EXPIRES", "LIMITS", "CREATED"});
    const WallTime now = system_clock().wall();
    for (const json::value& item : *keys) {
        const json::object& key = item.get_object();
        const std::string expires = text_at(key, "expires_at");
        const bool expired = !expires.empty() && from_rfc3339(expires) <= now;
        const char* state = flag_at(key, "disabled") ? "disabled" : expired ? "expired" : "valid";
        table.add({text_at(key, "prefix") + "_...", text_at(key, "name"), text_at(key, "user_name"), state,
                   expires.empty() ? "never" : expires, limits_text(key), text_at(key, "created_at")});
    }
    return print_list(context, *keys, "name", table, "no keys; `gantry keys create NAME` makes one");
}

// What create and edit share: until when, which side, how much.
Status put_use(const Options& options, json::object& body) {
    if (options.expires == "none") {
        body["expires_at"] = nullptr;
    } else if (!options.expires.empty()) {
        const Result<int64_t> seconds = parse_period(options.expires);
        if (!seconds) {
            return seconds.error();
        }
        body["expires_at"] = to_rfc3339(system_clock().wall() + std::chrono::seconds(*seconds));
    }
    if (!options.scopes.empty()) {
        body["scopes"] = json::array(options.scopes.begin(), options.scopes.end());
    }
    return put_limits(options.limits, body);
}

int create_key(const Context& context, const Options& options) {
    json::object body;
    body["name"] = options.name;
    if (const Status put = put_use(options, body); !put) {
        fail(put.error());
        return kWrongUsage;
    }
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return fail(client.error());
    }
    if (!options.user.empty()) {
        const Result<json::object> user = client->get("/api/v1/users/" + encode_segment(options.user));
        if (!user) {
            return fail(user.error());
        }
        body["user_id"] = text_at(*user, "id");
    }
    const Result<json::value> made = client->call("POST", "/api/v1/keys", body);
    if (!made || !made->is_object()) {
        return made ? fail(std::string("the server's answer holds no key")) : fail(made.error());
    }
    if (context.json) {
        print(json::serialize(*made) + "\n");
    } else {
        print(text_at(made->get_object(), "secret") + "\n");
        if (!context.quiet) {
            note("Keep this key: it is not shown again. Use it as `Authorization: Bearer <key>`, or as GANTRY_TOKEN.");
        }
    }
    return flushed(kDone);
}

// By name, by id, or by the start that `keys list` shows. More than one of a name: refused.
Result<std::string> key_id(const json::array& keys, const std::string& wanted) {
    std::string found;
    std::vector<std::string> names;
    for (const json::value& item : keys) {
        const json::object& key = item.get_object();
        names.push_back(text_at(key, "name"));
        const std::string prefix = text_at(key, "prefix");
        const bool by_prefix = !prefix.empty() && (wanted == prefix || wanted.starts_with(prefix + "_"));
        if (text_at(key, "id") != wanted && names.back() != wanted && !by_prefix) {
            continue;
        }
        if (!found.empty()) {
            return invalid_argument(fmt::format("several keys are called \"{}\"; name the one by its KEY column", wanted));
        }
        found = text_at(key, "id");
    }
    if (found.empty()) {
        const std::optional<std::string> near = did_you_mean(wanted, names);
        return not_found(fmt::format("there is no key \"{}\"{}", wanted, near ? fmt::format("; did you mean \"{}\"?", *near)
                                                                              : std::string("; `gantry keys list` lists them")));
    }
    return found;
}

int edit_key(const Context& context, const Options& options) {
    json::object body;
    if (const Status put = put_use(options, body); !put) {
        fail(put.error());
        return kWrongUsage;
    }
    if (!options.new_name.empty()) {
        body["name"] = options.new_name;
    }
    if (options.disable || options.enable) {
        body["disabled"] = options.disable;
    }
    if (body.empty()) {
        fail("nothing to change; `gantry keys edit --help` lists what can be");
        return kWrongUsage;
    }
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return fail(client.error());
    }
    const Result<json::array> keys = client->list("/api/v1/keys");
    const Result<std::string> id = keys ? key_id(*keys, options.key) : keys.error();
    const Result<json::value> edited = id ? client->call("PATCH", "/api/v1/keys/" + encode_segment(*id), body) : id.error();
    return print_edited(context, edited, "key", "limits");
}

int remove_keys(const Context& context, const Options& options) {
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return fail(client.error());
    }
    const Result<json::array> keys = client->list("/api/v1/keys");
    if (!keys) {
        return fail(keys.error());
    }
    int status = kDone;
    for (const std::string& name : options.names) {
        const Result<std::string> id = key_id(*keys, name);
        const Result<json::value> removed = id ? client->call("DELETE", "/api/v1/keys/" + encode_segment(*id)) : id.error();
        if (!removed) {
            status = fail(removed.error());
        } else if (!context.quiet) {
            note(fmt::format("{} is removed; requests with it are refused from now on", printable(name)));
        }
    }
    return status;
}

void add_use_options(CLI::App& verb, Options& options) {
    add_limit_options(verb, options.limits);
    verb.add_option("--scope", options.scopes, "inference (/v1) or management (/api/v1); may be repeated")
        ->take_all()
        ->allow_extra_args(false)
        ->check(CLI::IsMember({"inference", "management"}));
}

}  // namespace

void add_keys(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("keys", "list, create, edit and remove API keys");
    verb->require_subcommand(1);
    Options& options = context.own<Options>();

    CLI::App* list = verb->add_subcommand("list", "list keys")->alias("ls");
    add_client_options(*list, context);
    add_list_options(*list, context);
    list->callback([&context] { context.action = [&context] { return list_keys(context); }; });

    CLI::App* create = verb->add_subcommand("create", "make a key; it is printed once");
    create->add_option("NAME", options.name, "what it is for")->required();
    create->add_option("--expires", options.expires, "90s, 15m, 12h, 30d; default: never")->type_name("PERIOD");
    create->add_option("--user", options.user, "whose key it is; default: the caller's own")->type_name("NAME");
    add_use_options(*create, options);
    create->add_flag("--json", context.json, "print JSON");
    create->add_flag("-q,--quiet", context.quiet, "print the key only");
    add_client_options(*create, context);
    create->callback([&context, &options] { context.action = [&context, &options] { return create_key(context, options); }; });

    CLI::App* edit = verb->add_subcommand("edit", "change a key; what is not named stays as it is");
    edit->add_option("KEY", options.key, "its name, id or start")->required();
    add_use_options(*edit, options);
    edit->add_option("--expires", options.expires, "from now on: 90s, 15m, 12h, 30d; none: never")->type_name("PERIOD");
    edit->add_option("--name", options.new_name, "another name for it");
    CLI::Option* disable = edit->add_flag("--disable", options.disable, "refuse it until it is enabled again");
    edit->add_flag("--enable", options.enable, "take it again")->excludes(disable);
    edit->add_flag("--json", context.json, "print the key as JSON");
    edit->add_flag("-q,--quiet", context.quiet, "no chatter");
    add_client_options(*edit, context);
    edit->callback([&context, &options] { context.action = [&context, &options] { return edit_key(context, options); }; });

    CLI::App* remove = verb->add_subcommand("rm", "remove keys by name, id or start");
    remove->add_option("KEY", options.names)->required();
    remove->add_flag("-q,--quiet", context.quiet, "no chatter");
    add_client_options(*remove, context);
    remove->callback([&context, &options] { context.action = [&context, &options] { return remove_keys(context, options); }; });
}

}  // namespace gantry::cli
