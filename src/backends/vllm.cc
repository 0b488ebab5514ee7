// vLLM: `vllm serve FOLDER`, from PATH or by path. Looked at: 0.32.0's CPU build (its own files; started
// and asked on this project's machine by what is here), the documents of 0.7 to 0.31, vllm-ascend 0.7 to 0.23. NVIDIA, AMD and
// Ascend: not tested on hardware.
//
//   port      127.0.0.1; the key through VLLM_API_KEY, which guards /v1; ready when /health answers 200; /metrics on the
//             same port
//   weights   --load-format safetensors: it never falls back to pickled files, which are programs
//   memory    accelerators: --gpu-memory-utilization from what placement booked, not 0.9 for all; where devices differ in
//             size the largest share counts, since there is one number for all ranks. CPU: VLLM_CPU_KVCACHE_SPACE in whole
//             GiB, of what placement counted for KV; without it vLLM asks for 92 % of the machine
//   threads   CPU: it binds its threads to cores by itself ("auto") and keeps one core for its scheduler. Where the number
//             of threads is given, or the cores are few, binding is off and OMP_NUM_THREADS says how many: two engines
//             bound to the same cores starve
//   several   --tensor-parallel-size = devices of a worker. Of several workers each is a stage of a pipeline: --pipeline-parallel-size =
//             --nnodes, --node-rank, --master-addr and --master-port of the leading one, by multiprocessing (documents since 0.12,
//             serving/parallelism_scaling); the others --headless, ready as long as they live. Not tested on hardware
//   network   HF_HUB_OFFLINE: a model is here or it isn't; no usage statistics are sent
//   needs     the CPU build compiles kernels when it starts: a C++ compiler in PATH, a cache below HOME (~/.cache/vllm); of the two
//             minutes of a start on two cores that takes more than one
//
// Flags are passed on from a list only. --trust-remote-code is not on it: it runs Python from the model's folder, and who
// wants that can start vLLM by the backend "custom". Nor are flags that name files or code (plugins, chat templates as
// files), addresses, or memory.

#include "backends/table.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include <fmt/format.h>

#include "backends/architectures.h"
#include "backends/ascend_environment.h"
#include "backends/checks.h"
#include "backends/flags.h"
#include "backends/python_program.h"
#include "backends/visible_devices.h"
#include "base/json.h"

namespace gantry::backends {
namespace {

constexpr uint64_t kGiB = 1ull << 30;
// Python, PyTorch and compiled kernels in three processes, where nobody says what is KV: 3.4 GiB resident beside weights and KV were
// measured for SmolLM2-135M.
constexpr uint64_t kCpuRuntimeBytes = 7 * kGiB / 2;
constexpr uint32_t kFewCores = 8;                 // of fewer, one kept free is too dear

constexpr AllowedFlag kAllowed[] = {
    {"--async-scheduling", FlagValue::kSwitch},
    {"--attention-backend", FlagValue::kWord},
    {"--block-size", FlagValue::kInteger},
    {"--chat-template", FlagValue::kTemplate},
    {"--chat-template-content-format", FlagValue::kWord},
    {"--config-format", FlagValue::kWord},
    {"--convert", FlagValue::kWord},
    {"--default-chat-template-kwargs", FlagValue::kObject},
    {"--disable-cascade-attn", FlagValue::kSwitch},
    {"--disable-custom-all-reduce", FlagValue::kSwitch},
    {"--disable-sliding-window", FlagValue::kSwitch},
    {"--dtype", FlagValue::kWord},
    {"--enable-auto-tool-choice", FlagValue::kSwitch},
    {"--enable-chunked-prefill", FlagValue::kSwitch},
    {"--enable-expert-parallel", FlagValue::kSwitch},
    {"--enable-force-include-usage", FlagValue::kSwitch},
    {"--enable-prefix-caching", FlagValue::kSwitch},
    {"--enable-prompt-tokens-details", FlagValue::kSwitch},
    {"--enforce-eager", FlagValue::kSwitch},
    {"--generation-config", FlagValue::kWord},
    {"--hf-overrides", FlagValue::kObject},
    {"--limit-mm-per-prompt", FlagValue::kObject},
    {"--load-format", FlagValue::kWord},
    {"--long-prefill-token-threshold", FlagValue::kInteger},
    {"--mamba-ssm-cache-dtype", FlagValue::kWord},
    {"--max-logprobs", FlagValue::kInteger},
    {"--max-num-batched-tokens", FlagValue::kInteger},
    {"--optimization-level", FlagValue::kInteger},
    {"--override-generation-config", FlagValue::kObject},
    {"--pooler-config", FlagValue::kObject},
    {"--quantization", FlagValue::kWord},
    {"--reasoning-parser", FlagValue::kWord},
    {"--runner", FlagValue::kWord},
    {"--scheduling-policy", FlagValue::kWord},
    {"--seed", FlagValue::kInteger},
    {"--speculative-config", FlagValue::kObject},
    {"--task", FlagValue::kWord},
    {"--tokenizer-mode", FlagValue::kWord},
    {"--tool-call-parser", FlagValue::kWord},
    {"--uvicorn-log-level", FlagValue::kWord},
};

const RefusedFlags kRefused[] = {
    {{"--host", "--port", "--uds", "--root-path", "--grpc-port", "--ssl*", "--allow-credentials", "--allowed-origins",
      "--allowed-methods", "--allowed-headers"},
     "Gantry gives each engine a port of 127.0.0.1 and is the door to it itself"},
    {{"--api-key"}, "each engine has a key of its own, and a command line can be read by every user of the machine"},
    {{"--model", "--served-model-name", "--tokenizer", "--revision", "--code-revision", "--tokenizer-revision",
      "--hf-config-path", "--hf-token"},
     "the model is the deployment's source, its name the deployment's"},
    {{"--max-model-len"}, "set context_tokens"},
    {{"--max-num-seqs"}, "set max_sequences"},
    {{"--kv-cache-dtype"}, "set kv_type"},
    {{"--gpu-memory-utilization", "--device-memory-utilization", "--kv-cache-memory-bytes", "--num-gpu-blocks-override",
      "--swap-space", "--cpu-offload*", "--kv-offloading*", "--offload*"},
     "memory is computed from what the model needs and booked; change context_tokens, max_sequences or kv_type"},
    {{"-tp", "--tensor-parallel-size", "-pp", "--pipeline-parallel-size", "-dp", "--data-parallel*",
      "--distributed-executor-backend", "--nnodes", "--node-rank", "--master-addr", "--master-port", "--headless", "--device", "--device-ids",
      "--numa-bind*"},
     "how many devices, and which, is placement's: set placement.device_count or placement.devices; for more engines, replicas"},
    {{"--trust-remote-code"},
     "it runs programs from the model's folder; where you trust them, start vLLM by the backend \"custom\": "
     "vllm serve {{model}} --port {{port}} ..."},
    {{"--tool-parser-plugin", "--reasoning-parser-plugin", "--logits-processors", "--worker-cls", "--worker-extension-cls",
      "--scheduler-cls", "--middleware", "--io-processor-plugin", "--model-class-overrides", "--plugins", "--model-impl"},
     "it loads code into the engine; where you trust it, use the backend \"custom\""},
    {{"--config", "--allowed-local-media-path", "--allowed-media-domains", "--download-dir", "--lora-modules", "--log-config-file",
      "--model-loader-extra-config"},
     "it reaches other files or machines"},
    {{"--disable-log-stats"}, "the metrics come with them"},
};

const FlagRules kRules{"vLLM", kAllowed, kRefused};

constexpr std::string_view kDrafting[] = {"method", "num_speculative_tokens", "prompt_lookup_max", "prompt_lookup_min"};
constexpr std::string_view kFormats[] = {"safetensors", "fastsafetensors", "mistral", "dummy"};

// Values that say more than their kind. A drafter that is another model needs memory that nobody booked, and a path or a name
// that nobody checked.
Status check_values(const std::vector<GivenFlag>& flags) {
    for (const GivenFlag& flag : flags) {
        if (flag.name == "--load-format" && std::find(std::begin(kFormats), std::end(kFormats), flag.value) == std::end(kFormats)) {
            return invalid_argument("--load-format takes safetensors, fastsafetensors, mistral or dummy: the others "
                                    "read pickled files, which are programs, or fetch from elsewhere",
                                    param_of("options.extra_args", flag.index));
        }
        if (flag.name != "--speculative-config") continue;
        const Result<json::value> config = parse_json(flag.value);
        for (const auto& [key, value] : config->as_object()) {
            if (std::find(std::begin(kDrafting), std::end(kDrafting), std::string_view(key)) == std::end(kDrafting)) {
                return invalid_argument("--speculative-config takes method, num_speculative_tokens, prompt_lookup_max and "
                                        "prompt_lookup_min: a drafter that is a model of its own is not supported here",
                                        param_of("options.extra_args", flag.index));
            }
        }
    }
    return Ok{};
}

Result<std::vector<GivenFlag>> checked_flags(const BackendOptions& options) {
    Result<std::vector<GivenFlag>> flags = read_flags(options, kRules);
    if (!flags.ok()) return flags;
    if (const Status status = check_values(*flags); !status.ok()) return status.error();
    return flags;
}

constexpr char kInstall[] = "pip install vllm";

uint64_t weight_bytes(const std::string& folder) {
    uint64_t sum = 0;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
        std::error_code ignored;
        const uint64_t size = entry.path().extension() == ".safetensors" ? entry.file_size(ignored) : 0;
        if (!ignored) sum += size;
    }
    return sum;
}

// Whole GiB for keys and values in the machine's memory; 0: nothing is booked.
uint64_t cpu_kv_gib(const LaunchInput& input) {
    if (input.placement.empty()) return 0;
    uint64_t bytes = input.placement.kv_bytes;
    if (bytes == 0) {
        const uint64_t rest = weight_bytes(input.model_path) + kCpuRuntimeBytes;
        const uint64_t claimed = input.placement.claims.front().bytes;
        bytes = claimed > rest ? claimed - rest : 0;
    }
    return std::max<uint64_t>(1, (bytes + kGiB - 1) / kGiB);
}

void set_cpu_environment(const LaunchInput& input, std::map<std::string, std::string>& env) {
    if (const uint64_t space = cpu_kv_gib(input); space != 0) env["VLLM_CPU_KVCACHE_SPACE"] = std::to_string(space);
    uint32_t cores = 0;
    for (const Device& device : input.devices) {
        if (device.vendor == "cpu") cores = device.cores;
    }
    const uint32_t threads = input.options.threads != 0 ? input.options.threads : cores < kFewCores ? cores : 0;
    if (threads != 0) {
        env["VLLM_CPU_OMP_THREADS_BIND"] = "nobind";
        env["OMP_NUM_THREADS"] = std::to_string(threads);
    }
}

// Up to the next thousandth: a share that is cut short is too little.
std::string share_text(const std::vector<DeviceClaim>& claims) {
    double share = 0;
    for (const DeviceClaim& claim : claims) share = std::max(share, claim.memory_fraction);
    return share > 0 ? fmt::format("{:.3f}", std::min(1.0, std::ceil(share * 1000) / 1000)) : std::string();
}

std::string kv_dtype(const std::string& type) { return type == "f16" ? "float16" : type == "bf16" ? "bfloat16" : type; }

}  // namespace

// Its own defaults (vllm/engine/arg_utils.py) but for the largest cards', where 1,024 would take five times the room for the sampler.
uint32_t vllm_sequences(const std::string& vendor) { return vendor == "cpu" ? 128 : 256; }

namespace {

class VllmBackend final : public Backend {
public:
    About about() const override {
        return {.title = "vLLM",
                .summary = "Folders of safetensors on NVIDIA, AMD and Ascend accelerators and CPUs, for many requests at once",
                .homepage = "https://docs.vllm.ai",
                .program = "vllm",
                .install = kInstall,
                .formats = {"safetensors"},
                .modalities = {"text", "vision", "embedding", "rerank", "transcription"}};
    }
    std::optional<Refusal> refuses_model(const ModelMeta& meta) const override {
        if (meta.format == "gguf") {
            return Refusal{"vLLM reads folders of safetensors; its reader of GGUF files is experimental and converts each at every "
                           "start: use the backend \"engine\" or \"llama-server\", or a safetensors version of the model"};
        }
        if (meta.modality == "image" || meta.modality == "speech") {
            return Refusal{"vLLM makes text, embeddings, scores and transcriptions, not " + meta.modality};
        }
        if (!meta.architecture.empty() && !vllm_knows(meta.architecture)) {
            const char* code = meta.brings_code ? "; the code that the model brings is not run here" : "";
            return Refusal{"vLLM has no code for " + meta.architecture + " (its list of release 0.32.0 was looked at)" + code +
                           "; where yours has, start it by the backend \"custom\""};
        }
        return std::nullopt;
    }

    std::optional<Refusal> refuses_device(const std::string& os, const std::string& arch, const Device& device) const override {
        if (os != "linux") return Refusal{"vLLM runs on Linux only; use GGUF models with the embedded engine instead"};
        if (device.vendor == "cpu") return refuses_cpu(arch, device);
        if (device.vendor == "nvidia") return refuses_nvidia(device);
        if (device.vendor == "amd") return refuses_amd(device);
        if (device.vendor == "ascend") return refuses_ascend(device);
        if (device.vendor == "apple") return Refusal{"vLLM does not compute on Apple's GPUs; use GGUF models with llama-server"};
        return Refusal{"vLLM is started here on NVIDIA, AMD and Ascend devices and on CPUs; a vendor's own build of it for " +
                       device.vendor + " can be started by the backend \"custom\""};
    }

    std::optional<Refusal> program_refuses(const BackendOptions& options, const Device& device) const override {
        const Result<std::string> path = program(options);
        const std::string built = path.ok() ? distribution_version(*path, "vllm") : std::string();
        if (built.empty()) return std::nullopt;
        const bool for_cpu = built.find("cpu") != std::string::npos;
        if (device.vendor == "ascend") {
            if (distribution_version(*path, "vllm_ascend").empty()) {
                return Refusal{"vllm-ascend is not installed beside this vLLM (" + built + "), which can't use Ascend without it"};
            }
        } else if (device.vendor != "cpu" && for_cpu) {
            return Refusal{"this vLLM is its CPU build (" + built + "); install the one for " + device.vendor};
        } else if (device.vendor == "cpu" && !for_cpu) {
            return Refusal{"this vLLM (" + built + ") is a build for accelerators; on a CPU it needs its CPU build"};
        }
        return std::nullopt;
    }

    std::optional<Spanning> spanning() const override { return Spanning{.split = Spanning::Split::kStages}; }
    bool can_offload() const override { return false; }   // --cpu-offload-gb fetches weights over the bus for every step

    const FlagRules* flag_rules() const override { return &kRules; }
    std::vector<std::string_view> kv_types() const override {
        return {"auto", "f16", "bf16", "float16", "bfloat16", "fp8", "fp8_e4m3", "fp8_e5m2"};
    }
    Result<std::string> program(const BackendOptions& options) const override { return program_of(options, {"vllm"}, "vLLM", kInstall); }

    std::string version(const BackendOptions& options) const override {
        const Result<std::string> path = program(options);
        if (!path.ok()) return {};
        const std::string vllm = distribution_version(*path, "vllm");
        const std::string ascend = distribution_version(*path, "vllm_ascend");
        return ascend.empty() ? vllm : vllm + " (vllm-ascend " + ascend + ")";
    }

    Status validate(const BackendOptions& options) const override {
        GANTRY_TRY(check_common(options));
        GANTRY_TRY(check_not_custom(options));
        GANTRY_TRY(checked_flags(options));
        GANTRY_TRY(check_kv_type(options, kv_types()));
        GANTRY_TRY(check_visible_devices(options));
        for (const char* name : {"VLLM_API_KEY", "VLLM_HOST_IP", "VLLM_PORT", "VLLM_CPU_KVCACHE_SPACE"}) {
            GANTRY_TRY(check_env_prefix(options, name, "Gantry sets it"));
        }
        for (const char* name : {"VLLM_PLUGINS", "VLLM_ALLOW_RUNTIME_LORA_UPDATING", "VLLM_ALLOW_INSECURE_SERIALIZATION",
                                 "VLLM_SERVER_DEV_MODE"}) {
            GANTRY_TRY(check_env_prefix(options, name, "it would load code into the engine, or open doors in it"));
        }
        const Result<std::string> found = program(options);
        return found.ok() ? Status(Ok{}) : Status(found.error());
    }

    Result<LaunchPlan> launch(const LaunchInput& input) const override {
        GANTRY_TRY(validate(input.options));
        const std::vector<DeviceClaim> claims = accelerator_claims(input.placement);
        GANTRY_TRY(check_program(input, claims));
        LaunchPlan plan;
        const std::string path = *program(input.options);
        const std::string port = std::to_string(input.port);
        const bool follows = input.span && input.span->part > 0;
        plan.argv = {path, "serve", input.model_path, "--served-model-name", input.name};
        if (!follows) plan.argv.insert(plan.argv.end(), {"--host", "127.0.0.1", "--port", port});
        const auto add = [&plan](const char* flag, const std::string& value) {
            if (!value.empty() && value != "0") plan.argv.insert(plan.argv.end(), {flag, value});
        };
        const BackendOptions& options = input.options;
        add("--max-model-len", std::to_string(options.context_tokens != 0 ? options.context_tokens : input.placement.context_tokens));
        const std::string vendor = claims.empty() ? "cpu" : claims.front().device.vendor;
        add("--max-num-seqs", std::to_string(options.max_sequences != 0 ? options.max_sequences : vllm_sequences(vendor)));
        add("--kv-cache-dtype", kv_dtype(options.kv_type));
        if (claims.size() > 1) add("--tensor-parallel-size", std::to_string(claims.size()));
        if (input.span) add_nodes(*input.span, plan);
        add("--gpu-memory-utilization", share_text(claims));
        const std::vector<GivenFlag> flags = *checked_flags(options);
        if (!given(flags, "--load-format")) add("--load-format", "safetensors");
        append_flags(flags, plan.argv);
        plan.env = environment(input, path, claims);
        if (follows) {
            plan.health = HealthCheck::kLives;
            return plan;
        }
        plan.endpoint = "tcp:127.0.0.1:" + port;
        plan.api_key = input.api_key;
        plan.health_path = "/health";
        return plan;
    }

private:
    static void add_nodes(const SpanInput& span, LaunchPlan& plan) {
        const std::string nodes = std::to_string(span.peers.size());
        plan.argv.insert(plan.argv.end(), {"--pipeline-parallel-size", nodes, "--distributed-executor-backend", "mp", "--nnodes", nodes,
                                           "--node-rank", std::to_string(span.part), "--master-addr", span.leader().address,
                                           "--master-port", std::to_string(span.leader().port)});
        if (span.part > 0) plan.argv.emplace_back("--headless");
        else plan.peer_port = span.leader().port;
    }

    static std::optional<Refusal> refuses_cpu(const std::string& arch, const Device& device) {
        if (arch == "aarch64" || arch == "arm64") return std::nullopt;
        if (arch != "x86_64" && !arch.empty()) return Refusal{"vLLM's CPU build is for x86_64 and aarch64, not " + arch};
        // Its x86 libraries are built for AVX2 and for AVX-512, chosen when it starts (0.32); before 0.19 there was AVX-512
        // alone.
        if (!device.details.empty() && device.details.find("AVX2") == std::string::npos) {
            return Refusal{"vLLM's CPU build needs AVX2, better AVX-512; this CPU has " + device.details};
        }
        return std::nullopt;
    }

    // docs/getting_started/installation/gpu: "compute capability 7.0 or higher" until 0.14, "7.5 or higher" in 0.31.
    static std::optional<Refusal> refuses_nvidia(const Device& device) {
        const int capability = device.chip.starts_with("sm_") ? std::atoi(device.chip.c_str() + 3) : 0;
        if (capability == 0 || capability >= 70) return std::nullopt;
        return Refusal{"vLLM needs an NVIDIA GPU of compute capability 7.0 or higher (7.5 since 2026), and this is " + device.chip};
    }

    // The same page of 0.14 and later.
    static std::optional<Refusal> refuses_amd(const Device& device) {
        constexpr std::string_view kChips[] = {"",        "gfx90a",  "gfx942",  "gfx950",  "gfx1100", "gfx1101",
                                               "gfx1150", "gfx1151", "gfx1200", "gfx1201", "gfx1250"};
        if (std::find(std::begin(kChips), std::end(kChips), device.chip) != std::end(kChips)) return std::nullopt;
        return Refusal{"vLLM supports AMD's gfx90a, gfx942, gfx950, gfx1100, gfx1101, gfx115x, gfx120x and gfx1250, and this is " +
                       device.chip};
    }

    // vllm-ascend's docs/source/faqs.md ("What devices are currently supported?", 0.23): Atlas A2 (910B), A3 (910C), Ascend
    // 950; "310B" and "910" are unplanned. 310P: experimental in 0.9.2rc1 and 0.10.0rc1, gone, back in 0.14.0rc1, "first
    // time support" in 0.18.0 (2026-04-30) as a build of its own (SOC_VERSION=ascend310p1, images "-310p"), in float16
    // only.
    static std::optional<Refusal> refuses_ascend(const Device& device) {
        if (device.chip.empty()) return std::nullopt;
        for (const char* chip : {"910B", "910C", "910_93", "950"}) {
            if (device.chip.starts_with(chip)) return std::nullopt;
        }
        if (device.chip.starts_with("310P")) {
            return Refusal{"vLLM does not run on Ascend 310P: vllm-ascend's builds are for 910B, 910C and 950, and before 0.18 there was "
                           "none for the 310P but experiments; use MindIE, or start vllm-ascend's separate 310P build (float16 only) by "
                           "the backend \"custom\""};
        }
        return Refusal{"vllm-ascend supports Ascend 910B, 910C and 950, and this is " + device.chip};
    }

    Status check_program(const LaunchInput& input, const std::vector<DeviceClaim>& claims) const {
        if (input.placement.empty()) return Ok{};
        Device device;
        device.vendor = claims.empty() ? "cpu" : claims.front().device.vendor;
        const std::optional<Refusal> refusal = program_refuses(input.options, device);
        return refusal ? Status(invalid_argument(refusal->reason, "options.binary")) : Status(Ok{});
    }

    static std::map<std::string, std::string> environment(const LaunchInput& input, const std::string& path,
                                                          const std::vector<DeviceClaim>& claims) {
        std::map<std::string, std::string> env;
        if (!claims.empty() && claims.front().device.vendor == "ascend") {
            env = cann_environment(kAscendRoot, has_new_abi(distribution_version(path, "torch")));
        }
        // Lines reach the log as they are written: the load's progress is read from it.
        for (const auto& [name, value] : std::initializer_list<std::pair<const char*, const char*>>{
                 {"HF_HUB_OFFLINE", "1"}, {"TRANSFORMERS_OFFLINE", "1"}, {"VLLM_NO_USAGE_STATS", "1"}, {"DO_NOT_TRACK", "1"},
                 {"PYTHONUNBUFFERED", "1"}}) {
            env[name] = value;
        }
        if (claims.empty()) set_cpu_environment(input, env);
        for (const auto& [name, value] : input.options.env) env[name] = value;
        for (const auto& [name, value] : visible_devices(input.placement, input.devices)) env[name] = value;
        if (input.span) env["VLLM_HOST_IP"] = input.span->own().address;
        if (!input.api_key.empty()) env["VLLM_API_KEY"] = input.api_key;
        return env;
    }
};

}  // namespace

const Backend& vllm_backend() {
    static const VllmBackend backend;
    return backend;
}

}  // namespace gantry::backends
