// `gantry providers`: outside OpenAI-compatible APIs, whose models are models here.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>

#include "cli/client.h"
#include "cli/objects.h"
#include "cli/output.h"
#include "cli/secrets.h"
#include "cli/words.h"

namespace gantry::cli {
namespace {

struct Options {
    std::string name;
    std::string base_url;
    std::vector<std::string> models;
    std::string key_file;
    bool no_key = false;
    bool disable = false;
    bool enable = false;
    std::vector<std::string> names;
};

std::string models_text(const json::object& provider) {
    std::string text;
    for (const json::value& model : array_at(provider, "models")) {
        text += (text.empty() ? "" : " ") + std::string(model.get_string());
    }
    return text;
}

Status put_provider(const Options& options, json::object& body) {
    if (!options.base_url.empty()) {
        body["base_url"] = options.base_url;
    }
    if (!options.models.empty()) {
        body["models"] = json::array(options.models.begin(), options.models.end());
    }
    const char* const variable = std::getenv("GANTRY_PROVIDER_KEY");
    if (options.no_key) {
        body["api_key"] = nullptr;
    } else if (!options.key_file.empty()) {
        const Result<std::string> key = read_first_line(options.key_file, "key");
        if (!key) {
            return key.error();
        }
        body["api_key"] = *key;
    } else if (variable != nullptr && *variable != '\0') {
        body["api_key"] = variable;
    }
    if (options.disable || options.enable) {
        body["disabled"] = options.disable;
    }
    return Ok{};
}

int list_providers(const Context& context) {
    const Result<json::array> providers = list_of(context, "/api/v1/providers");
    if (!providers) {
        return fail(providers.error());
    }
    Table table({"NAME", "BASE URL", "KEY", "MODELS", "STATE", "CREATED"});
    for (const json::value& item : *providers) {
        const json::object& provider = item.get_object();
        table.add({text_at(provider, "name"), text_at(provider, "base_url"), flag_at(provider, "has_api_key") ? "set" : "none",
                   models_text(provider), flag_at(provider, "disabled") ? "disabled" : "enabled", text_at(provider, "created_at")});
    }
    return print_list(context, *providers, "name", table, "no providers; `gantry providers create NAME --base-url URL --model M` makes one");
}

int send(const Context& context, const char* method, const std::string& path, const json::object& body, const char* done) {
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return fail(client.error());
    }
    return print_changed(context, client->call(method, path, body), "provider", [&](const json::object& provider) {
        const std::string name = printable(text_at(provider, "name"));
        return fmt::format("{} {}; its models are {}/...: {}", name, done, name, printable(models_text(provider)));
    });
}

int create_provider(const Context& context, const Options& options) {
    json::object body;
    body["name"] = options.name;
    if (const Status put = put_provider(options, body); !put) {
        fail(put.error());
        return kWrongUsage;
    }
    return send(context, "POST", "/api/v1/providers", body, "is made");
}

int edit_provider(const Context& context, const Options& options) {
    json::object body;
    const Status put = put_provider(options, body);
    if (!put || body.empty()) {
        fail(put ? "nothing to change; `gantry providers edit --help` lists what can be" : put.error().message);
        return kWrongUsage;
    }
    return send(context, "PATCH", "/api/v1/providers/" + encode_segment(options.name), body, "is changed, in force from now on");
}

// What of its models it does not list is named: a typing error, or a list that is not whole.
int test_provider(const Context& context, const Options& options) {
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return fail(client.error());
    }
    const std::string path = "/api/v1/providers/" + encode_segment(options.name);
    const Result<json::object> provider = client->get(path);
    if (!provider) {
        return fail(provider.error());
    }
    const Result<json::value> answer = client->call("POST", path + "/test", json::object{});
    if (!answer) {
        return fail(answer.error());
    }
    const json::object& tested = answer->get_object();
    const std::string error = text_at(tested, "error");
    const int status = error.empty() ? 0 : kFailed;
    if (context.json) {
        print(json::serialize(tested) + "\n");
        return flushed(status);
    }
    if (!error.empty()) {
        fail(fmt::format("{}: {}", printable(options.name), printable(error)));
    } else if (!context.quiet) {
        const json::array& listed = array_at(tested, "models");
        std::string missing;
        for (const json::value& model : array_at(*provider, "models")) {
            if (std::find(listed.begin(), listed.end(), model) == listed.end()) {
                missing += (missing.empty() ? "" : ", ") + printable(std::string(model.get_string()));
            }
        }
        note(fmt::format("{} answers and lists {} model{}{}", printable(options.name), listed.size(), listed.size() == 1 ? "" : "s",
                         missing.empty() ? "" : "; not among them: " + missing));
    }
    return status;
}

struct Asked {
    CLI::Option* base_url;
    CLI::Option* models;
    CLI::Option* key_file;
};
Asked add_provider_options(CLI::App& verb, Context& context, Options& options) {
    Asked asked{};
    asked.base_url = verb.add_option("--base-url", options.base_url, "where its API is, mostly with /v1 at the end")->type_name("URL");
    asked.models = verb.add_option("--model", options.models, "a model, by its name there; may be repeated")
                       ->take_all()
                       ->allow_extra_args(false)
                       ->type_name("NAME");
    asked.key_file = verb.add_option("--api-key-file", options.key_file,
                                     "a file with the key it takes us by, - is stdin; else the variable GANTRY_PROVIDER_KEY")
                         ->type_name("FILE");
    verb.add_flag("--json", context.json, "print the provider as JSON");
    verb.add_flag("-q,--quiet", context.quiet, "no chatter");
    return asked;
}

}  // namespace

void add_providers(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("providers", "list, create, edit, test and remove outside providers of models");
    verb->require_subcommand(1);
    Options& options = context.own<Options>();

    CLI::App* list = verb->add_subcommand("list", "list providers")->alias("ls");
    add_client_options(*list, context);
    add_list_options(*list, context);
    list->callback([&context] { context.action = [&context] { return list_providers(context); }; });

    CLI::App* create = verb->add_subcommand("create", "take models of an OpenAI-compatible API as NAME/MODEL");
    create->add_option("NAME", options.name, "its name here, what stands before the models'")->required();
    const Asked needed = add_provider_options(*create, context, options);
    needed.base_url->required();
    needed.models->required();
    add_client_options(*create, context);
    create->callback([&context, &options] { context.action = [&context, &options] { return create_provider(context, options); }; });

    CLI::App* edit = verb->add_subcommand("edit", "change a provider; what is not named stays as it is");
    edit->add_option("PROVIDER", options.name, "its name or id")->required();
    const Asked asked = add_provider_options(*edit, context, options);
    edit->add_flag("--no-api-key", options.no_key, "ask it without a key from now on")->excludes(asked.key_file);
    CLI::Option* disable = edit->add_flag("--disable", options.disable, "its models' names are unknown to clients until it is enabled again");
    edit->add_flag("--enable", options.enable, "take it again")->excludes(disable);
    add_client_options(*edit, context);
    edit->callback([&context, &options] { context.action = [&context, &options] { return edit_provider(context, options); }; });

    CLI::App* test = verb->add_subcommand("test", "ask a provider for its list of models, with its key; exit 1 if it does not answer");
    test->add_option("PROVIDER", options.name, "its name or id")->required();
    test->add_flag("--json", context.json, "print what came of it as JSON");
    test->add_flag("-q,--quiet", context.quiet, "errors only");
    add_client_options(*test, context);
    test->callback([&context, &options] { context.action = [&context, &options] { return test_provider(context, options); }; });

    CLI::App* remove = verb->add_subcommand("rm", "remove providers by name or id");
    remove->add_option("PROVIDER", options.names)->required();
    remove->add_flag("-q,--quiet", context.quiet, "no chatter");
    add_client_options(*remove, context);
    remove->callback([&context, &options] {
        context.action = [&context, &options] { return remove_each(context, "/api/v1/providers", options.names, ", its key with it"); };
    });
}

}  // namespace gantry::cli
