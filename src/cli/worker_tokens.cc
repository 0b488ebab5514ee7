// `gantry workers token`: what machines join with.

#include "cli/worker_tokens.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/client.h"
#include "cli/objects.h"
#include "cli/output.h"
#include "cli/words.h"

namespace gantry::cli {
namespace {

struct Options {
    std::string name;
    uint32_t uses = 1;
    std::string expires = "24h";
    std::vector<std::string> ids;
};

int list_tokens(const Context& context) {
    const Result<json::array> tokens = list_of(context, "/api/v1/join-tokens");
    if (!tokens) {
        return fail(tokens.error());
    }
    Table table({"TOKEN", "NAME", "STATE", "USES LEFT", "EXPIRES"});
    for (const json::value& item : *tokens) {
        const json::object& token = item.get_object();
        table.add({text_at(token, "id"), text_at(token, "name"), text_at(token, "state"),
                   {fmt::format("{} of {}", number_at(token, "uses_left"), number_at(token, "uses")), Colour::kNone, true},
                   text_at(token, "expires_at")});
    }
    return print_list(context, *tokens, "id", table, "no join tokens; `gantry workers token create` makes one");
}

// The server as another machine reaches it.
std::string url_for_others(const ApiClient& client) {
    const Result<json::object> server = client.get("/api/v1/server");
    const std::string url = server ? text_at(*server, "url_hint") : "";
    return url.empty() ? "http://SERVER:9090" : url;
}

int create_token(const Context& context, const Options& options) {
    const Result<int64_t> seconds = parse_period(options.expires);
    if (!seconds) {
        fail(seconds.error());
        return kWrongUsage;
    }
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return fail(client.error());
    }
    const json::object body{{"name", options.name}, {"uses", options.uses}, {"expires_in_seconds", *seconds}};
    const Result<json::value> made = client->call("POST", "/api/v1/join-tokens", body);
    if (!made || !made->is_object()) {
        return made ? fail(std::string("the server's answer holds no token")) : fail(made.error());
    }
    if (context.json) {
        print(json::serialize(*made) + "\n");
        return flushed(kDone);
    }
    print(text_at(made->get_object(), "secret") + "\n");
    if (!context.quiet) {
        const std::string url = url_for_others(*client);
        note(fmt::format("Keep it private: it is not shown again, and lets {} join until {}. On the new machine either, to bring gantry there too,\n"
                         "  curl -fsS '{}/join.sh?token={}' | sudo sh\n"
                         "or, with gantry installed there and the token in a file,\n"
                         "  gantry worker --server {} --token-file FILE",
                         options.uses == 1 ? "one machine" : fmt::format("{} machines", options.uses),
                         text_at(made->get_object(), "expires_at"), url, text_at(made->get_object(), "secret"), url));
    }
    return flushed(kDone);
}

}  // namespace

void add_worker_tokens(CLI::App& workers, Context& context) {
    CLI::App* verb = workers.add_subcommand("token", "tokens that machines join with");
    verb->require_subcommand(1);
    Options& options = context.own<Options>();

    CLI::App* create = verb->add_subcommand("create", "make one; it is shown this once");
    create->add_option("--name", options.name, "what it is for");
    create->add_option("--uses", options.uses, "machines that may join with it")->check(CLI::Range(1, 1'000))->capture_default_str();
    create->add_option("--expires", options.expires, "how long it lasts: 30m, 24h, 7d")->type_name("PERIOD")->capture_default_str();
    create->add_flag("--json", context.json, "print it as JSON");
    create->add_flag("-q,--quiet", context.quiet, "the token only");
    add_client_options(*create, context);
    create->callback([&context, &options] { context.action = [&context, &options] { return create_token(context, options); }; });

    CLI::App* list = verb->add_subcommand("list", "list them, without what is secret");
    add_client_options(*list, context);
    add_list_options(*list, context);
    list->callback([&context] { context.action = [&context] { return list_tokens(context); }; });

    CLI::App* revoke = verb->add_subcommand("revoke", "nobody joins with them any more; who did stays");
    revoke->add_option("TOKEN", options.ids, "as `gantry workers token list` shows them")->required();
    revoke->add_flag("-q,--quiet", context.quiet, "no chatter");
    add_client_options(*revoke, context);
    revoke->callback([&context, &options] {
        context.action = [&context, &options] { return remove_each(context, "/api/v1/join-tokens", options.ids, ": nobody joins with it any more"); };
    });
}

}  // namespace gantry::cli
