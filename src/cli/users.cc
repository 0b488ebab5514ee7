// `gantry users`: people.

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/client.h"
#include "cli/limits.h"
#include "cli/objects.h"
#include "cli/output.h"
#include "cli/secrets.h"
#include "cli/words.h"

namespace gantry::cli {
namespace {

struct Options {
    std::string name;
    std::string role = "user";
    std::string password_file;
    bool generate = false;
    LimitOptions limits;
    std::string new_role;
    bool disable = false;
    bool enable = false;
    std::vector<std::string> names;
};

int list_users(const Context& context) {
    const Result<json::array> users = list_of(context, "/api/v1/users");
    if (!users) {
        return fail(users.error());
    }
    Table table({"NAME", "ROLE", "STATE", "LIMITS", "CREATED"});
    for (const json::value& item : *users) {
        const json::object& user = item.get_object();
        const char* state = flag_at(user, "disabled")               ? "disabled"
                            : flag_at(user, "must_change_password") ? "must change the password"
                                                                    : "active";
        table.add({text_at(user, "name"), text_at(user, "role"), state, limits_text(user), text_at(user, "created_at")});
    }
    return print_list(context, *users, "name", table, "no users");
}

Result<std::string> password_of(const Options& options) {
    return options.generate ? Result<std::string>(random_password()) : read_password(options.password_file);
}

// `method` POST /users with all fields, or PATCH of one with the password alone.
int set_password(const Context& context, const Options& options, bool create) {
    const Result<std::string> password = password_of(options);
    if (!password) {
        fail(password.error());
        return kWrongUsage;
    }
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return fail(client.error());
    }
    json::object body;
    if (const Status put = put_limits(options.limits, body); !put) {
        fail(put.error());
        return kWrongUsage;
    }
    body["password"] = *password;
    if (create) {
        body["name"] = options.name;
        body["role"] = options.role;
    } else {
        body["must_change_password"] = options.generate;
    }
    const std::string path = create ? "/api/v1/users" : "/api/v1/users/" + encode_segment(options.name);
    const Result<json::value> done = client->call(create ? "POST" : "PATCH", path, body);
    if (!done) {
        return fail(done.error());
    }
    if (options.generate) {
        print(*password + "\n");
    }
    if (!context.quiet) {
        note(create ? fmt::format("{} is a new {}", options.name, options.role)
                    : fmt::format("the password of {} is changed", options.name));
    }
    return flushed(kDone);
}

int edit_user(const Context& context, const Options& options) {
    json::object body;
    if (const Status put = put_limits(options.limits, body); !put) {
        fail(put.error());
        return kWrongUsage;
    }
    if (!options.new_role.empty()) {
        body["role"] = options.new_role;
    }
    if (options.disable || options.enable) {
        body["disabled"] = options.disable;
    }
    if (body.empty()) {
        fail("nothing to change; `gantry users edit --help` lists what can be");
        return kWrongUsage;
    }
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return fail(client.error());
    }
    const Result<json::value> edited = client->call("PATCH", "/api/v1/users/" + encode_segment(options.name), body);
    return print_edited(context, edited, "user", "limits over all keys");
}

void add_password_options(CLI::App& verb, Context& context, Options& options) {
    verb.add_option("NAME", options.name)->required();
    CLI::Option* file = verb.add_option("--password-file", options.password_file, "its first line is the password; - is stdin")
                            ->type_name("FILE");
    verb.add_flag("--generate", options.generate, "make a random password and print it")->excludes(file);
    verb.add_flag("-q,--quiet", context.quiet, "no chatter");
    add_client_options(verb, context);
}

}  // namespace

void add_users(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("users", "list, create, edit and remove people, set passwords");
    verb->require_subcommand(1);
    Options& options = context.own<Options>();

    CLI::App* list = verb->add_subcommand("list", "list users")->alias("ls");
    add_client_options(*list, context);
    add_list_options(*list, context);
    list->callback([&context] { context.action = [&context] { return list_users(context); }; });

    CLI::App* create = verb->add_subcommand("create", "add a user");
    add_password_options(*create, context, options);
    create->add_option("--role", options.role, "user or admin")->capture_default_str()->check(CLI::IsMember({"user", "admin"}));
    add_limit_options(*create, options.limits);
    create->callback([&context, &options] { context.action = [&context, &options] { return set_password(context, options, true); }; });

    CLI::App* edit = verb->add_subcommand("edit", "change a user; what is not named stays as it is");
    edit->add_option("NAME", options.name)->required();
    add_limit_options(*edit, options.limits);
    edit->add_option("--role", options.new_role, "user or admin")->check(CLI::IsMember({"user", "admin"}));
    CLI::Option* disable = edit->add_flag("--disable", options.disable, "refuse this user and all keys until enabled again");
    edit->add_flag("--enable", options.enable, "let in again")->excludes(disable);
    edit->add_flag("--json", context.json, "print the user as JSON");
    edit->add_flag("-q,--quiet", context.quiet, "no chatter");
    add_client_options(*edit, context);
    edit->callback([&context, &options] { context.action = [&context, &options] { return edit_user(context, options); }; });

    CLI::App* passwd = verb->add_subcommand("passwd", "set the password of a user");
    add_password_options(*passwd, context, options);
    passwd->callback([&context, &options] { context.action = [&context, &options] { return set_password(context, options, false); }; });

    CLI::App* remove = verb->add_subcommand("rm", "remove users, with their keys");
    remove->add_option("NAME", options.names)->required();
    remove->add_flag("-q,--quiet", context.quiet, "no chatter");
    add_client_options(*remove, context);
    remove->callback([&context, &options] {
        context.action = [&context, &options] { return remove_each(context, "/api/v1/users", options.names, ", with all keys"); };
    });
}

}  // namespace gantry::cli
