// llama.cpp's llama-server, by path or from PATH. Flags as in llama.cpp's common/arg.cpp (looked at in the tree pinned by
// third_party/sources.txt): flags win over LLAMA_ARG_* variables, '_' counts as '-' in long flags, and with no -c the context is
// the model's, cut to what fits.

#include "backends/table.h"

#include <algorithm>

#include "backends/checks.h"
#include "base/platform/process.h"

namespace gantry::backends {
namespace {

Result<std::string> program(const BackendOptions& options) {
    Result<std::string> path = platform::find_program(options.binary.empty() ? "llama-server" : options.binary);
    if (path.ok()) {
        return path;
    }
    return invalid_argument(path.error().message + (options.binary.empty()
                                                        ? ": install llama.cpp's llama-server, or say where it is (--binary)"
                                                        : ""),
                            "options.binary", "backend_missing");
}

bool given(const BackendOptions& options, std::initializer_list<const char*> flags) {
    return std::any_of(options.extra_args.begin(), options.extra_args.end(), [&flags](const std::string& word) {
        return std::find(flags.begin(), flags.end(), word) != flags.end();
    });
}

class LlamaServerBackend final : public Backend {
public:
    std::optional<Refusal> refuses_model(const ModelMeta& meta) const override {
        if (meta.format.empty() || meta.format == "gguf") return std::nullopt;
        return Refusal{"it reads GGUF files, and this model is in the format " + meta.format};
    }
    std::optional<Refusal> refuses_device(const std::string&, const std::string&, const Device&) const override { return std::nullopt; }
    bool can_offload() const override { return true; }
    bool can_span_workers() const override { return false; }
    std::string version(const BackendOptions&) const override { return {}; }

    Status validate(const BackendOptions& options) const override {
        GANTRY_TRY(check_common(options));
        GANTRY_TRY(check_flags(
            options,
            {// what Gantry sets
             "-m", "--model", "-a", "--alias", "--host", "--port", "--reuse-port", "--api-key", "--api-key-file", "--api-prefix",
             "-c", "--ctx-size", "-np", "--parallel", "-t", "--threads",
             // another model than the one checked, and secrets in a command line that all users of the machine can read
             "-mu", "--model-url", "-mmu", "--mmproj-url", "--spec-draft-hf", "-hfd", "-hfrd", "--hf-repo-draft", "-hf",
             "-hfr", "--hf-repo", "-hff", "--hf-file", "-hft", "--hf-token", "-dr", "--docker-repo",
             "--models-dir", "--models-preset", "--models-max", "--models-autoload", "--no-models-autoload",
             // doors: tools run commands, proxies and paths reach other machines and files
             "--tools", "--tools-runtime", "-ag", "--agent", "--mcp-servers-config", "--mcp-servers-json", "--ui", "--webui",
             "--ui-config", "--webui-config", "--ui-config-file", "--webui-config-file", "--ui-mcp-proxy", "--webui-mcp-proxy",
             "--rpc", "--path", "--media-path", "--slot-save-path", "--props", "--log-file", "--ssl-key-file", "--ssl-cert-file",
             "--cors-origins", "--cors-methods", "--cors-headers", "--cors-credentials",
             // ends at once instead of serving
             "-h", "--help", "--usage", "--version", "--list-devices", "-cl", "--cache-list"}));
        GANTRY_TRY(check_env_prefix(options, "LLAMA_ARG_", "give llama-server's flags as extra_args instead"));
        GANTRY_TRY(check_env_prefix(options, "LLAMA_API_KEY", "Gantry gives each instance a key of its own"));
        if (!options.command.empty()) {
            return invalid_argument("a command is for the backend \"custom\" only; give flags as extra_args", "options.command");
        }
        if (!options.health_path.empty()) {
            return invalid_argument("a health path is for the backend \"custom\" only", "options.health_path");
        }
        const Result<std::string> found = program(options);
        return found.ok() ? Status(Ok{}) : Status(found.error());
    }

    Result<LaunchPlan> launch(const LaunchInput& input) const override {
        GANTRY_TRY(validate(input.options));
        LaunchPlan plan;
        const std::string port = std::to_string(input.port);
        plan.argv = {*program(input.options), "-m", input.model_path, "--host",      "127.0.0.1", "--port", port,
                     "--alias",               input.name, "--no-webui"};
        const auto number = [&plan](const char* flag, uint32_t value) {
            if (value != 0) {
                plan.argv.insert(plan.argv.end(), {flag, std::to_string(value)});
            }
        };
        number("-c", input.options.context_tokens);
        number("-np", input.options.max_sequences);
        number("-t", input.options.threads);
        // With a number of slots given llama-server divides the context among them unless told to share it; context_tokens
        // means what one sequence may use, for every backend.
        if (input.options.max_sequences != 0 &&
            !given(input.options, {"-kvu", "--kv-unified", "-no-kvu", "--no-kv-unified"})) {
            plan.argv.emplace_back("-kvu");
        }
        plan.argv.insert(plan.argv.end(), input.options.extra_args.begin(), input.options.extra_args.end());
        plan.env = input.options.env;
        if (!input.api_key.empty()) {
            plan.env["LLAMA_API_KEY"] = input.api_key;  // not in argv: every user of the machine can read that
        }
        plan.endpoint = "tcp:127.0.0.1:" + port;
        plan.api_key = input.api_key;
        plan.health_path = "/health";
        return plan;
    }
};

}  // namespace

const Backend& llama_server_backend() {
    static const LlamaServerBackend backend;
    return backend;
}

}  // namespace gantry::backends
