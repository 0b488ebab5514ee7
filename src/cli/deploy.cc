// `gantry deploy`: desired state for a model; --wait follows it until it serves.

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/catalogue_source.h"
#include "cli/client.h"
#include "cli/deployment_flags.h"
#include "cli/output.h"
#include "cli/waiting.h"
#include "cli/words.h"
#include "domain/deployment.h"

namespace gantry::cli {
namespace {

struct Options {
    std::string name;
    std::string source;
    DeploymentFlags flags;
    uint32_t replicas = 1;
    std::string idle_timeout;
    bool recreate = false;
    uint32_t max_surge = RolloutOptions{}.max_surge;
    uint32_t max_unavailable = RolloutOptions{}.max_unavailable;
    bool wait = false;
    uint32_t wait_seconds = 1800;
};

int deploy(const Context& context, const Options& options) {
    Result<json::object> body = body_of(options.flags);
    if (!body) {
        fail(body.error());
        return kWrongUsage;
    }
    (*body)["name"] = options.name;
    (*body)["replicas"] = options.replicas;
    if (!options.idle_timeout.empty()) {
        const Result<int64_t> idle = parse_period(options.idle_timeout);
        if (!idle) {
            fail(fmt::format("--idle-timeout: {}", idle.error().message));
            return kWrongUsage;
        }
        (*body)["idle_timeout_seconds"] = *idle;
    }
    (*body)["rollout"] = json::object{{"strategy", to_string(options.recreate ? UpdateStrategy::kRecreate : UpdateStrategy::kRolling)},
                                      {"max_surge", options.max_surge},
                                      {"max_unavailable", options.max_unavailable}};
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return fail(client.error());
    }
    if (const Status known = take_source(*client, options.flags, options.source, *body); !known) {
        return fail(known.error());
    }
    const Result<json::value> made = client->call("POST", "/api/v1/deployments", *body);
    if (!made) {
        return fail(made.error());
    }
    const std::string source = made->is_object() ? text_at(made->get_object(), "source") : std::string();
    if (!context.quiet && !source.empty() && source != text_at(*body, "source")) {
        note(fmt::format("of the quantizations there {} suits these workers best; `gantry evaluate {}` says why", source, text_at(*body, "source")));
    }
    if (options.wait) {
        const Status waited = wait_until_running(*client, options.name, !context.quiet, std::chrono::seconds(options.wait_seconds));
        if (!waited) {
            return fail(waited.error());
        }
    }
    if (context.json) {
        const Result<json::object> now = client->deployment(options.name);
        print(json::serialize(now ? json::value(*now) : *made) + "\n");
    } else if (!context.quiet) {
        note(options.wait ? fmt::format("{} is running; talk to it with `gantry run {}`", options.name, options.name)
                          : fmt::format("{} is deployed; `gantry ps` shows how it starts", options.name));
    }
    return flushed(kDone);
}

}  // namespace

void add_deploy(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("deploy", "serve a model under a name");
    Options& options = context.own<Options>();
    verb->add_option("NAME", options.name, "the public model name on /v1")->required();
    verb->add_option("--source,-s", options.source,
                     "file:PATH, or just a path, of a GGUF file or a model's folder; hf:ORG/NAME or modelscope:ORG/NAME, with /FILE or "
                     ":QUANTIZATION; catalogue:ID, with :QUANTIZATION or without")
        ->required()->type_name("SOURCE");
    verb->add_option("--replicas,-r", options.replicas, "instances to run")->capture_default_str()->type_name("N");
    add_deployment_flags(*verb, options.flags);
    verb->add_option("--idle-timeout", options.idle_timeout, "without a request for so long it sleeps, until the next one wakes it: 90s, 10m, 2h")
        ->type_name("TIME");
    verb->add_option("--max-surge", options.max_surge, "instances beyond --replicas while an update lasts")->capture_default_str()->type_name("N");
    verb->add_option("--max-unavailable", options.max_unavailable, "replicas that may be missing in an update where no further one fits")
        ->capture_default_str()
        ->type_name("N");
    verb->add_flag("--recreate", options.recreate, "update with a gap: all old instances go before the first new one starts");
    verb->add_flag("--wait,-w", options.wait, "wait until it serves; exit 1 with the reason when it can't");
    verb->add_option("--wait-seconds", options.wait_seconds, "how long --wait waits")->capture_default_str()->type_name("N");
    verb->add_flag("--json", context.json, "print the deployment as JSON");
    verb->add_flag("-q,--quiet", context.quiet, "no chatter");
    add_client_options(*verb, context);
    verb->callback([&context, &options] { context.action = [&context, &options] { return deploy(context, options); }; });
}

}  // namespace gantry::cli
