// llama.cpp's llama-server, by path or from PATH. Flags as in llama.cpp's common/arg.cpp (looked at in the tree pinned by
// third_party/sources.txt and in b11434): flags win over LLAMA_ARG_* variables, '_' counts as '-' in long flags, and with
// no -c the context is the model's, cut to what fits.
//
//   devices   shown by the vendor's variable (visible_devices.h); -ngl layers, --tensor-split by what is booked on each.
//             -ngl counts the output matrix as a layer, so that of a model that is split one layer more stays in memory
//             than was planned, never fewer
//   program   which vendors' devices it can use lies beside it (libggml-cuda.so ...) where it was built with shared
//             libraries; a static one does not tell, and is believed
//   pictures  --mmproj: the tower that lies beside the model; it computes on the first device, as the model does
//   several   workers: --rpc (llama_rpc.h)
//   metrics   --metrics: /metrics on the same port, behind the key

#include "backends/table.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "backends/checks.h"
#include "backends/flag_rules.h"
#include "backends/llama_rpc.h"
#include "backends/visible_devices.h"

namespace gantry::backends {
namespace {

// llama.cpp's backends by the vendors whose devices they compute on (docs/build.md); Hygon's DTK stands in for ROCm.
struct Library {
    std::string_view vendor;
    std::string_view name;    // libggml-NAME.so
};
constexpr Library kLibraries[] = {{"nvidia", "cuda"}, {"amd", "hip"},    {"hygon", "hip"},  {"mthreads", "musa"},
                                  {"ascend", "cann"}, {"apple", "metal"}, {"nvidia", "vulkan"}, {"amd", "vulkan"}};

bool has_backend(std::string_view vendor) {
    return std::any_of(std::begin(kLibraries), std::end(kLibraries), [vendor](const Library& library) { return library.vendor == vendor; });
}

// ggml's libraries beside a program, or in the lib folder beside its bin: "cuda", "cpu-haswell", "base"; none of a static build.
std::vector<std::string> libraries_beside(const std::string& program) {
    namespace fs = std::filesystem;
    constexpr std::string_view kStart = "libggml-";
    std::error_code error;
    fs::path real = fs::canonical(program, error);
    if (error) real = program;
    std::vector<std::string> names;
    for (const fs::path& folder : {real.parent_path(), real.parent_path().parent_path() / "lib"}) {
        std::error_code ignored;
        for (const auto& entry : fs::directory_iterator(folder, ignored)) {
            const std::string name = entry.path().filename().string();
            if (name.starts_with(kStart)) names.push_back(name.substr(kStart.size(), name.find('.') - kStart.size()));
        }
    }
    return names;
}

// "3,1": what is booked on each, in layers where placement says, else in MiB.
// With all layers on devices the output counts as one more, on the last.
std::string tensor_split(std::vector<DeviceClaim> claims, bool all) {
    const bool by_layers = std::all_of(claims.begin(), claims.end(), [](const DeviceClaim& claim) { return claim.layers != 0; });
    if (by_layers && all) ++claims.back().layers;
    std::string split;
    for (const DeviceClaim& claim : claims) {
        split.append(split.empty() ? "" : ",").append(std::to_string(by_layers ? claim.layers : std::max<uint64_t>(1, claim.bytes >> 20)));
    }
    return split;
}

class LlamaServerBackend final : public Backend {
public:
    About about() const override {
        return {.title = "llama-server",
                .summary = "llama.cpp's own server: GGUF models, also with pictures, on CPUs and most makes of accelerators",
                .homepage = "https://github.com/ggml-org/llama.cpp",
                .program = "llama-server",
                .install = "a build of llama.cpp for these devices; of its programs llama-server",
                .formats = {"gguf"},
                .modalities = {"text", "vision", "embedding", "rerank"}};
    }
    std::optional<Refusal> refuses_model(const ModelMeta& meta) const override {
        return refuse_all_but_gguf(meta);
    }
    std::optional<Refusal> refuses_device(const std::string&, const std::string&, const Device& device) const override {
        if (device.vendor == "cpu" || has_backend(device.vendor)) return std::nullopt;
        return Refusal{"llama.cpp has no backend for devices of " + device.vendor};
    }

    std::optional<Refusal> program_refuses(const BackendOptions& options, const Device& device) const override {
        const Result<std::string> path = program(options);
        if (device.vendor == "cpu" || !path.ok()) return std::nullopt;
        const std::vector<std::string> beside = libraries_beside(*path);
        const auto is_beside = [&beside](std::string_view name) { return std::find(beside.begin(), beside.end(), name) != beside.end(); };
        if (beside.empty()) return std::nullopt;
        std::string wanted;
        for (const Library& library : kLibraries) {
            if (library.vendor != device.vendor) continue;
            if (is_beside(library.name)) return std::nullopt;
            wanted.append(wanted.empty() ? "" : " or ").append("libggml-").append(library.name);
        }
        return Refusal{"this llama-server was built without a backend for " + device.vendor + " (no " + wanted + " beside it)"};
    }

    bool can_offload() const override { return true; }
    std::optional<Spanning> spanning() const override {
        return Spanning{.split = Spanning::Split::kLayers, .followers_first = true, .leader_has_files = true};
    }
    const FlagRules* flag_rules() const override { return &llama_server_flags(); }
    std::vector<std::string_view> kv_types() const override {
        return {"f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"};
    }
    Result<std::string> program(const BackendOptions& options) const override {
        return program_of(options, {"llama-server"}, "llama.cpp", "its llama-server");
    }
    std::string version(const BackendOptions&) const override { return {}; }

    Status validate(const BackendOptions& options) const override {
        GANTRY_TRY(check_common(options));
        const Result<std::vector<GivenFlag>> flags = read_flags(options, llama_server_flags());
        if (!flags) return flags.error();
        GANTRY_TRY(check_env_prefix(options, "LLAMA_ARG_", "give llama-server's flags as extra_args instead"));
        GANTRY_TRY(check_env_prefix(options, "LLAMA_API_KEY", "Gantry gives each instance a key of its own"));
        GANTRY_TRY(check_not_custom(options));
        GANTRY_TRY(check_kv_type(options, kv_types()));
        if (!options.kv_type.empty()) GANTRY_TRY(refuse_twice(*flags, {"-ctk", "--cache-type-k", "-ctv", "--cache-type-v"}, "kv_type"));
        GANTRY_TRY(check_visible_devices(options));
        const Result<std::string> found = program(options);
        return found.ok() ? Status(Ok{}) : Status(found.error());
    }

    Result<LaunchPlan> launch(const LaunchInput& input) const override {
        GANTRY_TRY(validate(input.options));
        if (input.span && input.span->part > 0) return rpc_follower(input, *program(input.options));
        const BackendOptions& options = input.options;
        LaunchPlan plan;
        const std::string port = std::to_string(input.port);
        plan.argv = {*program(options), "-m", input.model_path, "--host",      "127.0.0.1", "--port", port,
                     "--alias",         input.name, "--no-webui", "--metrics"};
        const auto number = [&plan](const char* flag, uint32_t value) {
            if (value != 0) {
                plan.argv.insert(plan.argv.end(), {flag, std::to_string(value)});
            }
        };
        number("-c", options.context_tokens != 0 ? options.context_tokens : input.placement.context_tokens);
        number("-np", options.max_sequences);
        number("-t", options.threads);
        // With a number of slots given llama-server divides the context among them unless told to share it; context_tokens
        // means what one sequence may use, for every backend.
        if (options.max_sequences != 0 && !flag_text(options, {"-kvu", "--kv-unified", "-no-kvu", "--no-kv-unified"})) {
            plan.argv.emplace_back("-kvu");
        }
        if (!options.kv_type.empty()) {
            plan.argv.insert(plan.argv.end(), {"-ctk", options.kv_type, "-ctv", options.kv_type});
        }
        // By itself it would keep up to 8 GiB of ended prompts in memory that nobody booked.
        if (!flag_text(options, {"-cram", "--cache-ram"})) plan.argv.insert(plan.argv.end(), {"--cache-ram", "0"});
        GANTRY_TRY(place(input, plan));
        if (!input.tower_path.empty() && !flag_text(options, {"--no-mmproj", "--no-mmproj-auto"})) {
            plan.argv.insert(plan.argv.end(), {"--mmproj", input.tower_path});
            const bool in_memory = !input.placement.empty() && accelerator_claims(input.placement).empty();
            if (in_memory && !flag_text(options, {"--mmproj-offload", "--no-mmproj-offload"})) plan.argv.emplace_back("--no-mmproj-offload");
        }
        append_flags(*read_flags(options, llama_server_flags()), plan.argv);
        plan.env = options.env;
        plan.env.merge(visible_devices(input.placement, input.devices));
        if (!input.api_key.empty()) {
            plan.env["LLAMA_API_KEY"] = input.api_key;  // not in argv: every user of the machine can read that
        }
        plan.endpoint = "tcp:127.0.0.1:" + port;
        plan.api_key = input.api_key;
        plan.health_path = "/health";
        return plan;
    }

private:
    // Which devices, and how much of the model on each.
    Status place(const LaunchInput& input, LaunchPlan& plan) const {
        constexpr char kAllLayers[] = "999";
        const Placement& placement = input.placement;
        if (placement.empty()) return Ok{};
        std::vector<DeviceClaim> claims = accelerator_claims(placement);
        if (claims.empty() && !input.span) {
            plan.argv.insert(plan.argv.end(), {"--device", "none", "-ngl", "0"});
            return Ok{};
        }
        if (!claims.empty()) GANTRY_TRY(check_program(input, claims.front().device.vendor));
        if (input.span) {
            plan.argv.insert(plan.argv.end(), {"--rpc", rpc_servers(*input.span)});
            claims = devices_of_all(*input.span);
        }
        const bool all = placement.layers_on_devices >= placement.layers;
        plan.argv.insert(plan.argv.end(), {"-ngl", all ? kAllLayers : std::to_string(placement.layers_on_devices)});
        if (claims.size() > 1) {
            plan.argv.insert(plan.argv.end(), {"--tensor-split", tensor_split(claims, all)});
        }
        return Ok{};
    }

    Status check_program(const LaunchInput& input, const std::string& vendor) const {
        Device device;
        device.vendor = vendor;
        const std::optional<Refusal> refusal = program_refuses(input.options, device);
        return refusal ? Status(invalid_argument(refusal->reason, "options.binary")) : Status(Ok{});
    }
};

}  // namespace

const Backend& llama_server_backend() {
    static const LlamaServerBackend backend;
    return backend;
}

}  // namespace gantry::backends
