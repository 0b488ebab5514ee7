// The embedded engine: `gantry engine`, this very binary as a process of its own, on a Unix socket. On whose devices it
// computes was decided when it was built (GANTRY_ENGINE_VENDORS, from ggml's options): usually the CPU's alone.

#include "backends/table.h"

#include "backends/checks.h"
#include "backends/flag_rules.h"
#include "backends/visible_devices.h"
#include "base/platform/process.h"
#include "base/version.h"

namespace gantry::backends {
namespace {

// How a build for a vendor's devices is configured; empty: llama.cpp has none.
std::string_view option_for(std::string_view vendor) {
    if (vendor == "nvidia") return "-DGGML_CUDA=ON";
    if (vendor == "amd") return "-DGGML_HIP=ON";
    if (vendor == "ascend") return "-DGGML_CANN=ON";
    if (vendor == "mthreads") return "-DGGML_MUSA=ON";
    if (vendor == "apple") return "-DGGML_METAL=ON";
    return {};
}

bool built_for(const std::string& vendor) {
    return (" " + std::string(GANTRY_ENGINE_VENDORS) + " ").find(" " + vendor + " ") != std::string::npos;
}

class EngineBackend final : public Backend {
public:
    About about() const override {
        return {.title = "Gantry's engine",
                .summary = "Built in: GGUF models on CPUs and, where gantry was built for them, accelerators; nothing to install",
                .homepage = {},
                .program = {},
                .install = {},
                .formats = {"gguf", "ggml"},
                .modalities = {"text", "embedding", "rerank", "transcription"}};
    }
    std::optional<Refusal> refuses_model(const ModelMeta& meta) const override {
        if (meta.format == "ggml" && meta.architecture == "whisper") return std::nullopt;
        return refuse_all_but_gguf(meta);
    }

    std::optional<Refusal> refuses_device(const std::string&, const std::string&, const Device& device) const override {
        if (built_for(device.vendor)) return std::nullopt;
        const std::string_view option = option_for(device.vendor);
        std::string reason = "this build of gantry computes on: " GANTRY_ENGINE_VENDORS;
        reason += option.empty() ? "; llama.cpp, its engine, has no backend for " + device.vendor
                                 : "; one configured with " + std::string(option) + " computes on " + device.vendor;
        return Refusal{std::move(reason)};
    }

    bool can_offload() const override { return true; }
    const FlagRules* flag_rules() const override { return &engine_flags(); }
    std::vector<std::string_view> kv_types() const override { return {"f16", "q8_0"}; }
    Result<std::string> program(const BackendOptions&) const override { return platform::own_executable(); }
    std::string version(const BackendOptions&) const override { return kVersion; }   // this very build's

    Status validate(const BackendOptions& options) const override {
        GANTRY_TRY(check_common(options));
        GANTRY_TRY(check_not_custom(options));
        const Result<std::vector<GivenFlag>> flags = read_flags(options, engine_flags());
        if (!flags) return flags.error();
        GANTRY_TRY(check_kv_type(options, kv_types()));
        if (!options.kv_type.empty()) GANTRY_TRY(refuse_twice(*flags, {"--kv-type"}, "kv_type"));
        GANTRY_TRY(check_visible_devices(options));
        if (!options.binary.empty()) {
            return invalid_argument("the embedded engine is part of gantry: a binary is for the backends that are other programs",
                                    "options.binary");
        }
        return Ok{};
    }

    Result<LaunchPlan> launch(const LaunchInput& input) const override {
        GANTRY_TRY(validate(input.options));
        GANTRY_TRY(check_one_worker(input));
        const BackendOptions& options = input.options;
        LaunchPlan plan;
        plan.argv = {input.gantry_binary, "engine",          "--model",    input.model_path, "--socket",
                     input.socket_path,   "--model-name",    input.name,   "--exit-file",    input.exit_file};
        const auto number = [&plan](const char* flag, uint32_t value) {
            if (value != 0) {
                plan.argv.insert(plan.argv.end(), {flag, std::to_string(value)});
            }
        };
        number("--ctx", options.context_tokens != 0 ? options.context_tokens : input.placement.context_tokens);
        number("--max-sequences", options.max_sequences);
        number("--threads", options.threads);
        if (!options.kv_type.empty()) {
            plan.argv.insert(plan.argv.end(), {"--kv-type", options.kv_type});
        }
        if (!input.packed_folder.empty()) {
            plan.argv.insert(plan.argv.end(), {"--packed-cache", input.packed_folder});
        }
        append_flags(*read_flags(options, engine_flags()), plan.argv);
        plan.env = options.env;
        plan.env.merge(visible_devices(input.placement, input.devices));
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
