#include "cli/deployment_flags.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>

#include "cli/words.h"

namespace gantry::cli {
namespace {

json::array to_array(const std::vector<std::string>& words) { return json::array(words.begin(), words.end()); }

Result<json::object> options_of(const DeploymentFlags& flags) {
    json::object options{{"context_tokens", flags.context_tokens},
                         {"max_sequences", flags.max_sequences},
                         {"threads", flags.threads},
                         {"kv_type", flags.kv_type},
                         {"extra_args", to_array(flags.args)}};
    if (!flags.binary.empty()) {
        options["binary"] = flags.binary;
    }
    if (!flags.command.empty()) {
        const Result<std::vector<std::string>> words = split_command(flags.command);
        if (!words) {
            return words.error();
        }
        options["command"] = to_array(*words);
    }
    if (!flags.health_path.empty()) {
        options["health_path"] = flags.health_path;
    }
    const Result<json::object> env = pairs_of(flags.env, "--env");
    if (!env) {
        return env.error();
    }
    options["env"] = *env;
    return options;
}

}  // namespace

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

Result<json::object> pairs_of(const std::vector<std::string>& pairs, const char* flag) {
    json::object out;
    for (const std::string& pair : pairs) {
        const size_t equals = pair.find('=');
        if (equals == std::string::npos || equals == 0) {
            return invalid_argument(fmt::format("{} \"{}\": write it as NAME=VALUE", flag, pair));
        }
        out[pair.substr(0, equals)] = pair.substr(equals + 1);
    }
    return out;
}

Result<json::object> body_of(const DeploymentFlags& flags) {
    const Result<json::object> options = options_of(flags);
    if (!options) {
        return options.error();
    }
    const Result<json::object> labels = pairs_of(flags.worker_labels, "--worker-label");
    if (!labels) {
        return labels.error();
    }
    json::object placement{{"devices", to_array(flags.devices)},
                           {"device_count", flags.device_count},
                           {"device_types", to_array(flags.device_types)},
                           {"worker_labels", *labels},
                           {"cpu_offload", !flags.no_offload},
                           {"across_workers", flags.across_workers}};
    if (!flags.strategy.empty()) {
        placement["strategy"] = flags.strategy;
    }
    return json::object{{"backend", flags.backend.empty() ? "engine" : flags.backend}, {"options", *options}, {"placement", std::move(placement)}};
}

void add_deployment_flags(CLI::App& verb, DeploymentFlags& flags) {
    verb.add_option("--backend,-b", flags.backend, "engine (embedded; the default), llama-server, vllm, sglang, mindie or custom");
    verb.add_option("--hub", flags.hub, "of a model of the catalogue: hf or modelscope")->check(CLI::IsMember({"hf", "modelscope"}));
    verb.add_option("--ctx", flags.context_tokens, "context in tokens; 0: the model's, cut to what fits")->type_name("N");
    verb.add_option("--max-sequences", flags.max_sequences, "sequences at once; 0: by itself")->type_name("N");
    verb.add_option("--threads", flags.threads, "threads that compute; 0: by itself")->type_name("N");
    verb.add_option("--kv-type", flags.kv_type, "how keys and values are kept: f16, q8_0 or fp8; default: the backend's")
        ->type_name("TYPE");
    verb.add_option("--devices", flags.devices, "by hand: WORKER/VENDOR/INDEX or VENDOR/INDEX, with commas between")
        ->delimiter(',')
        ->type_name("DEVICE");
    verb.add_option("--device-count", flags.device_count, "devices of each instance; 0: one, and more only where one does not do")
        ->type_name("N");
    verb.add_option("--device-type", flags.device_types, "vendor or chip: nvidia, 910B, cpu; may be repeated")
        ->take_all()
        ->allow_extra_args(false)
        ->type_name("TYPE");
    verb.add_option("--worker-label", flags.worker_labels, "NAME=VALUE that a worker must have; may be repeated")
        ->take_all()
        ->allow_extra_args(false);
    verb.add_option("--strategy", flags.strategy, "spread (to the most room) or binpack (to the least that suffices)")
        ->check(CLI::IsMember({"spread", "binpack"}));
    verb.add_flag("--across-workers", flags.across_workers, "an instance may use devices of several workers, where those of one do not do");
    verb.add_flag("--no-offload", flags.no_offload, "all layers on devices, none in memory");
    verb.add_option("--binary", flags.binary, "llama-server, vllm, sglang, mindie: its path; default: found in PATH")->type_name("PATH");
    verb.add_option("--command", flags.command,
                    "custom: the command line; {{model}}, {{port}} and {{name}} are filled in. Quotes group words; no shell runs it")
        ->type_name("WORDS");
    verb.add_option("--health-path", flags.health_path, "custom: answers 200 when ready; default /health")->type_name("PATH");
    verb.add_option("--env,-e", flags.env, "NAME=VALUE for the engine; may be repeated")->take_all()->allow_extra_args(false);
    verb.add_option("--arg", flags.args, "a further argument for the engine; may be repeated (--arg=--flag)")
        ->take_all()
        ->allow_extra_args(false);
}

}  // namespace gantry::cli
