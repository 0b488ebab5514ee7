// The embedded engine: `gantry engine`, this very binary as a process of its own, on a Unix socket.

#include "backends/table.h"

#include "backends/checks.h"

namespace gantry::backends {
namespace {

class EngineBackend final : public Backend {
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
        GANTRY_TRY(check_flags(options, {"--model", "-m", "--socket", "--host", "--port", "--api-key", "--model-name",
                                         "--exit-file", "--ctx", "--max-sequences", "--threads"}));
        if (!options.command.empty()) {
            return invalid_argument("a command is for the backend \"custom\" only", "options.command");
        }
        if (!options.binary.empty()) {
            return invalid_argument("the embedded engine is part of gantry: a binary is for the backend \"llama-server\" only",
                                    "options.binary");
        }
        if (!options.health_path.empty()) {
            return invalid_argument("a health path is for the backend \"custom\" only", "options.health_path");
        }
        return Ok{};
    }

    Result<LaunchPlan> launch(const LaunchInput& input) const override {
        GANTRY_TRY(validate(input.options));
        LaunchPlan plan;
        plan.argv = {input.gantry_binary, "engine",          "--model",    input.model_path, "--socket",
                     input.socket_path,   "--model-name",    input.name,   "--exit-file",    input.exit_file};
        const auto number = [&plan](const char* flag, uint32_t value) {
            if (value != 0) {
                plan.argv.insert(plan.argv.end(), {flag, std::to_string(value)});
            }
        };
        number("--ctx", input.options.context_tokens);
        number("--max-sequences", input.options.max_sequences);
        number("--threads", input.options.threads);
        plan.argv.insert(plan.argv.end(), input.options.extra_args.begin(), input.options.extra_args.end());
        plan.env = input.options.env;
        plan.endpoint = "unix:" + input.socket_path;  // the folder's mode keeps others out: no key
        plan.health_path = "/health";
        plan.writes_exit_file = true;
        return plan;
    }
};

}  // namespace

const Backend& engine_backend() {
    static const EngineBackend backend;
    return backend;
}

}  // namespace gantry::backends
