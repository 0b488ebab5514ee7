// SGLang: `sglang serve --model-path FOLDER`, or, where `binary` is a Python interpreter, `python -m sglang.launch_server`,
// as versions before 0.5.5 have it alone. Looked at: docs/advanced_features/server_arguments.md and
// docs/references/production_metrics.md of 0.4.3 to 0.5.9, server_args.py of 0.5.9. Not tested on hardware: it runs on
// accelerators only, and there are none here.
//
//   port      127.0.0.1; ready when /health answers 200; /metrics on the same port (--enable-metrics)
//   key       in a file of the work folder, given by --config: SGLang has no variable for it, and a command line can be
//             read by all
//   weights   --load-format safetensors: it never falls back to pickled files, which are programs
//   memory    --mem-fraction-static from what placement booked: weights and KV; the largest share, where devices differ in
//             size
//   several   --tp-size = ranks. On several workers --nnodes, --node-rank and --dist-init-addr of the leading one, tensors cut over all
//             (references/multi_node_deployment); the others serve nothing and are ready as long as
//             they live. Not tested on hardware
//
// Flags are passed on from a list only, as for vLLM (vllm.cc).

#include "backends/table.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>

#include "backends/ascend_environment.h"
#include "backends/checks.h"
#include "backends/flags.h"
#include "backends/python_program.h"
#include "backends/visible_devices.h"

namespace gantry::backends {
namespace {

constexpr char kConfigFile[] = "sglang.yaml";

constexpr AllowedFlag kAllowed[] = {
    {"--attention-backend", FlagValue::kWord},
    {"--chat-template", FlagValue::kWord},   // the name of one that SGLang brings; a path is no word
    {"--chunked-prefill-size", FlagValue::kInteger},
    {"--cuda-graph-max-bs", FlagValue::kInteger},
    {"--disable-cuda-graph", FlagValue::kNone},
    {"--disable-custom-all-reduce", FlagValue::kNone},
    {"--disable-overlap-schedule", FlagValue::kNone},
    {"--disable-radix-cache", FlagValue::kNone},
    {"--dtype", FlagValue::kWord},
    {"--enable-deterministic-inference", FlagValue::kNone},
    {"--enable-mixed-chunk", FlagValue::kNone},
    {"--enable-multimodal", FlagValue::kNone},
    {"--enable-p2p-check", FlagValue::kNone},
    {"--enable-torch-compile", FlagValue::kNone},
    {"--grammar-backend", FlagValue::kWord},
    {"--is-embedding", FlagValue::kNone},
    {"--json-model-override-args", FlagValue::kObject},
    {"--max-prefill-tokens", FlagValue::kInteger},
    {"--max-queued-requests", FlagValue::kInteger},
    {"--page-size", FlagValue::kInteger},
    {"--quantization", FlagValue::kWord},
    {"--random-seed", FlagValue::kInteger},
    {"--reasoning-parser", FlagValue::kWord},
    {"--sampling-backend", FlagValue::kWord},
    {"--schedule-conservativeness", FlagValue::kNumber},
    {"--schedule-policy", FlagValue::kWord},
    {"--tokenizer-mode", FlagValue::kWord},
    {"--tool-call-parser", FlagValue::kWord},
};

const RefusedFlags kRefused[] = {
    {{"--host", "--port", "--fastapi-root-path", "--grpc-mode", "--nccl-port", "--dist-init-addr", "--ssl*"},
     "Gantry gives each engine a port of 127.0.0.1 and is the door to it itself"},
    {{"--api-key", "--admin-api-key"}, "each engine has a key of its own, and a command line can be read by every user of the machine"},
    {{"--model", "--model-path", "--served-model-name", "--tokenizer-path", "--revision", "--load-format"},
     "the model is the deployment's source, its name the deployment's"},
    {{"--context-length"}, "set context_tokens"},
    {{"--max-running-requests"}, "set max_sequences"},
    {{"--kv-cache-dtype"}, "set kv_type"},
    {{"--mem-fraction-static", "--max-total-tokens", "--cpu-offload-gb", "--enable-hierarchical-cache", "--hicache*",
      "--enable-memory-saver"},
     "memory is computed from what the model needs and booked; change context_tokens, max_sequences or kv_type"},
    {{"--tp", "--tp-size", "--tensor-parallel-size", "--pp-size", "--pipeline-parallel-size", "--dp", "--dp-size",
      "--data-parallel-size", "--nnodes", "--node-rank", "--base-gpu-id", "--gpu-id-step", "--device"},
     "how many devices, and which, is placement's: set placement.device_count or placement.devices; for more engines, replicas"},
    {{"--trust-remote-code"}, "it runs programs from the model's folder; where you trust them, start SGLang by the backend \"custom\""},
    {{"--config", "--warmups", "--custom-weight-loader", "--enable-custom-logit-processor", "--model-loader-extra-config",
      "--download-dir", "--lora-paths", "--model-impl"},
     "it reaches other files, or loads code into the engine"},
    {{"--enable-metrics"}, "it is always on"},
};

const FlagRules kRules{"SGLang", kAllowed, kRefused};

constexpr char kInstall[] = "pip install sglang";

bool is_interpreter(const std::string& program) { return std::filesystem::path(program).filename().string().starts_with("python"); }

class SglangBackend final : public Backend {
public:
    About about() const override {
        return {.title = "SGLang",
                .summary = "Folders of safetensors on NVIDIA, AMD and Ascend accelerators, for many requests with common beginnings",
                .homepage = "https://github.com/sgl-project/sglang",
                .program = "sglang",
                .install = kInstall,
                .formats = {"safetensors"},
                .modalities = {"text", "vision", "embedding", "rerank"}};
    }
    // No list of architectures: what SGLang has no code for, it runs by Transformers' (--model-impl auto).
    std::optional<Refusal> refuses_model(const ModelMeta& meta) const override {
        if (meta.format == "gguf") {
            return Refusal{"SGLang reads folders of safetensors; use the backend \"engine\" or \"llama-server\" for GGUF files"};
        }
        if (meta.modality == "image" || meta.modality == "speech" || meta.modality == "transcription") {
            return Refusal{"SGLang is started here for text and embeddings, not for " + meta.modality};
        }
        return std::nullopt;
    }

    std::optional<Refusal> refuses_device(const std::string& os, const std::string&, const Device& device) const override {
        if (os != "linux") return Refusal{"SGLang runs on Linux only; use GGUF models with the embedded engine instead"};
        if (device.vendor == "cpu") {
            return Refusal{"SGLang's CPU build is made for Intel CPUs with AMX and is not started here; use the backend \"vllm\" or "
                           "\"engine\""};
        }
        if (device.vendor == "nvidia") {
            // Its kernels (sgl-kernel, FlashInfer) are built for compute capability 8.0 and later; what GPUStack requires
            // as well.
            const int capability = device.chip.starts_with("sm_") ? std::atoi(device.chip.c_str() + 3) : 0;
            if (capability == 0 || capability >= 80) return std::nullopt;
            return Refusal{"SGLang needs an NVIDIA GPU of compute capability 8.0 or higher, and this is " + device.chip};
        }
        if (device.vendor == "amd") {
            // docs/platforms/amd_gpu.md: AMD Instinct.
            if (device.chip.empty() || device.chip == "gfx942" || device.chip == "gfx950") return std::nullopt;
            return Refusal{"SGLang supports AMD's gfx942 and gfx950 (Instinct MI300 and MI350), and this is " + device.chip};
        }
        if (device.vendor == "ascend") {
            // docs/platforms/ascend_npu.md: Atlas 800I A2 and A3.
            if (device.chip.empty()) return std::nullopt;
            for (const char* chip : {"910B", "910C", "910_93"}) {
                if (device.chip.starts_with(chip)) return std::nullopt;
            }
            return Refusal{"SGLang supports Ascend 910B and 910C, and this is " + device.chip};
        }
        return Refusal{"SGLang is started here on NVIDIA, AMD and Ascend devices; a build of it for " + device.vendor +
                       " can be started by the backend \"custom\""};
    }

    bool can_offload() const override { return false; }
    std::optional<Spanning> spanning() const override { return Spanning{.split = Spanning::Split::kTensors}; }

    const FlagRules* flag_rules() const override { return &kRules; }
    std::vector<std::string_view> kv_types() const override { return {"auto", "bf16", "bfloat16", "fp8_e4m3", "fp8_e5m2"}; }
    Result<std::string> program(const BackendOptions& options) const override {
        return program_of(options, {"sglang"}, "SGLang", kInstall);
    }

    std::string version(const BackendOptions& options) const override {
        const Result<std::string> path = program(options);
        return path.ok() ? distribution_version(*path, "sglang") : std::string();
    }

    Status validate(const BackendOptions& options) const override {
        GANTRY_TRY(check_common(options));
        GANTRY_TRY(check_not_custom(options));
        GANTRY_TRY(read_flags(options, kRules));
        GANTRY_TRY(check_kv_type(options, kv_types()));
        GANTRY_TRY(check_visible_devices(options));
        const Result<std::string> found = program(options);
        return found.ok() ? Status(Ok{}) : Status(found.error());
    }

    Result<LaunchPlan> launch(const LaunchInput& input) const override {
        GANTRY_TRY(validate(input.options));
        if (input.name.find(':') != std::string::npos) {
            return invalid_argument("SGLang takes no model name with \":\" in it, which it keeps for adapters; name the deployment "
                                    "otherwise",
                                    "name");
        }
        const std::vector<DeviceClaim> claims = accelerator_claims(input.placement);
        LaunchPlan plan;
        const std::string path = *program(input.options);
        const std::string port = std::to_string(input.port);
        plan.argv = {path, "serve"};
        if (is_interpreter(path)) plan.argv = {path, "-m", "sglang.launch_server"};
        plan.argv.insert(plan.argv.end(), {"--model-path", input.model_path, "--served-model-name", input.name, "--host", "127.0.0.1",
                                           "--port", port, "--load-format", "safetensors", "--enable-metrics"});
        const auto add = [&plan](const char* flag, const std::string& value) {
            if (!value.empty() && value != "0") plan.argv.insert(plan.argv.end(), {flag, value});
        };
        const BackendOptions& options = input.options;
        add("--context-length", std::to_string(options.context_tokens != 0 ? options.context_tokens : input.placement.context_tokens));
        add("--max-running-requests", std::to_string(options.max_sequences));
        add("--kv-cache-dtype", options.kv_type);
        const size_t ranks = claims.size() * (input.span ? input.span->peers.size() : 1);
        if (ranks > 1) add("--tp-size", std::to_string(ranks));
        if (input.span) add_nodes(*input.span, plan);
        double share = 0;
        for (const DeviceClaim& claim : claims) share = std::max(share, claim.memory_fraction);
        if (share > 0) add("--mem-fraction-static", fmt::format("{:.3f}", std::min(1.0, std::ceil(share * 1000) / 1000)));
        const bool follows = input.span && input.span->part > 0;
        if (!input.api_key.empty() && !follows) {   // who follows serves nobody
            add("--config", input.work_folder + "/" + kConfigFile);
            plan.files[kConfigFile] = "api-key: \"" + input.api_key + "\"\n";
        }
        append_flags(*read_flags(options, kRules), plan.argv);
        if (!claims.empty() && claims.front().device.vendor == "ascend") {
            add("--device", "npu");
            plan.env = cann_environment(kAscendRoot, has_new_abi(distribution_version(path, "torch")));
        }
        for (const char* name : {"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "PYTHONUNBUFFERED"}) plan.env[name] = "1";
        for (const auto& [name, value] : options.env) plan.env[name] = value;
        for (const auto& [name, value] : visible_devices(input.placement, input.devices)) plan.env[name] = value;
        plan.endpoint = "tcp:127.0.0.1:" + port;
        plan.api_key = follows ? std::string() : input.api_key;
        plan.health = follows ? HealthCheck::kLives : HealthCheck::kAnswers;
        if (!follows) plan.health_path = "/health";
        return plan;
    }

private:
    static void add_nodes(const SpanInput& span, LaunchPlan& plan) {
        const SpanInput::Peer& leader = span.leader();
        plan.argv.insert(plan.argv.end(), {"--nnodes", std::to_string(span.peers.size()), "--node-rank", std::to_string(span.part),
                                           "--dist-init-addr", leader.address + ":" + std::to_string(leader.port)});
        if (span.part == 0) plan.peer_port = leader.port;
    }
};

}  // namespace

const Backend& sglang_backend() {
    static const SglangBackend backend;
    return backend;
}

}  // namespace gantry::backends
