// `gantry deploy`: desired state for a model; --wait follows it until it serves.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>

#include "cli/client.h"
#include "cli/output.h"
#include "cli/waiting.h"
#include "cli/words.h"

namespace gantry::cli {
namespace {

struct Options {
    std::string name;
    std::string source;
    std::string backend = "engine";
    uint32_t replicas = 1;
    uint32_t context_tokens = 0;
    uint32_t max_sequences = 0;
    uint32_t threads = 0;
    std::string binary;
    std::string command;
    std::string health_path;
    std::vector<std::string> env;
    std::vector<std::string> args;
    bool wait = false;
    uint32_t wait_seconds = 1800;
};

// A plain path becomes file:<absolute>; "scheme:..." stays as it is.
std::string full_source(const std::string& source) {
    namespace fs = std::filesystem;
    const size_t colon = source.find(':');
    const bool has_scheme = colon != std::string::npos && source.find('/') > colon;
    const std::string path = source.starts_with("file:") ? source.substr(5) : source;
    if (has_scheme && !source.starts_with("file:")) {
        return source;
    }
    std::error_code ignored;
    return "file:" + fs::absolute(path, ignored).lexically_normal().string();
}

Result<json::object> body_of(const Options& options) {
    json::object backend;
    backend["context_tokens"] = options.context_tokens;
    backend["max_sequences"] = options.max_sequences;
    backend["threads"] = options.threads;
    if (!options.binary.empty()) {
        backend["binary"] = options.binary;
    }
    if (!options.command.empty()) {
        const Result<std::vector<std::string>> words = split_command(options.command);
        if (!words) {
            return words.error();
        }
        json::array command;
        for (const std::string& word : *words) {
            command.emplace_back(word);
        }
        backend["command"] = std::move(command);
    }
    if (!options.health_path.empty()) {
        backend["health_path"] = options.health_path;
    }
    json::object env;
    for (const std::string& pair : options.env) {
        const size_t equals = pair.find('=');
        if (equals == std::string::npos || equals == 0) {
            return invalid_argument(fmt::format("--env \"{}\": write it as NAME=VALUE", pair));
        }
        env[pair.substr(0, equals)] = pair.substr(equals + 1);
    }
    backend["env"] = std::move(env);
    json::array args;
    for (const std::string& arg : options.args) {
        args.emplace_back(arg);
    }
    backend["extra_args"] = std::move(args);
    json::object body;
    body["name"] = options.name;
    body["source"] = full_source(options.source);
    body["backend"] = options.backend;
    body["replicas"] = options.replicas;
    body["options"] = std::move(backend);
    return body;
}

int deploy(const Context& context, const Options& options) {
    const Result<json::object> body = body_of(options);
    if (!body) {
        fail(body.error());
        return kWrongUsage;
    }
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return fail(client.error());
    }
    const Result<json::value> made = client->call("POST", "/api/v1/deployments", *body);
    if (!made) {
        return fail(made.error());
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
    verb->add_option("--source,-s", options.source, "file:PATH, or just a path, of a GGUF file")->required()->type_name("SOURCE");
    verb->add_option("--backend,-b", options.backend, "engine (embedded), llama-server or custom")->capture_default_str();
    verb->add_option("--replicas,-r", options.replicas, "instances to run")->capture_default_str()->type_name("N");
    verb->add_option("--ctx", options.context_tokens, "context in tokens; 0: the model's, cut to what fits")->type_name("N");
    verb->add_option("--max-sequences", options.max_sequences, "sequences at once; 0: by itself")->type_name("N");
    verb->add_option("--threads", options.threads, "threads that compute; 0: by itself")->type_name("N");
    verb->add_option("--binary", options.binary, "llama-server: its path; default: found in PATH")->type_name("PATH");
    verb->add_option("--command", options.command,
                     "custom: the command line; {{model}}, {{port}} and {{name}} are filled in. Quotes group words; no shell runs it")
        ->type_name("WORDS");
    verb->add_option("--health-path", options.health_path, "custom: answers 200 when ready; default /health")->type_name("PATH");
    verb->add_option("--env,-e", options.env, "NAME=VALUE for the engine; may be repeated")->take_all()->allow_extra_args(false);
    verb->add_option("--arg", options.args, "a further argument for the engine; may be repeated (--arg=--flag)")
        ->take_all()
        ->allow_extra_args(false);
    verb->add_flag("--wait,-w", options.wait, "wait until it serves; exit 1 with the reason when it can't");
    verb->add_option("--wait-seconds", options.wait_seconds, "how long --wait waits")->capture_default_str()->type_name("N");
    verb->add_flag("--json", context.json, "print the deployment as JSON");
    verb->add_flag("-q,--quiet", context.quiet, "no chatter");
    add_client_options(*verb, context);
    verb->callback([&context, &options] { context.action = [&context, &options] { return deploy(context, options); }; });
}

}  // namespace gantry::cli
