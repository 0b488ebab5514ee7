#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "backends/architectures.h"
#include "backends/backends_for_test.h"
#include "backends/python_program.h"

namespace gantry::backends {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr uint64_t kGiB = 1ull << 30;
const Backend& vllm() { return backend(BackendKind::kVllm); }

// An install as pip makes it, of which nothing runs.
struct Install {
    explicit Install(const std::string& version, const std::string& ascend = {}) {
        options.binary = folder.program("bin/vllm", "#!" + folder.path("bin/python3") + "\n");
        folder.folder("lib/python3.11/site-packages/vllm-" + version + ".dist-info");
        if (!ascend.empty()) folder.folder("lib/python3.11/site-packages/vllm_ascend-" + ascend + ".dist-info");
    }
    TestFolder folder;
    BackendOptions options;
};

Device cpu(uint32_t cores) {
    Device device = device_of("cpu", 0);
    device.cores = cores;
    return device;
}

TEST(Vllm, OnAGpu) {
    const Install install("0.11.0");
    LaunchInput input = launch_input(install.options);
    input.model_path = "/models/qwen";
    input.placement = placed({claim_of("nvidia", 1, 30 * kGiB, 0.4213), claim_of("cpu", 0, kGiB)}, 8192);
    const auto plan = vllm().launch(input);
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    EXPECT_THAT(plan->argv, ElementsAre(install.options.binary, "serve", "/models/qwen", "--served-model-name", "org/tiny:q4", "--host",
                                        "127.0.0.1", "--port", "40001", "--max-model-len", "8192", "--max-num-seqs", "256",
                                        "--gpu-memory-utilization", "0.422",
                                        "--load-format", "safetensors"));
    EXPECT_THAT(plan->argv, Not(Contains(HasSubstr("k3y"))));
    EXPECT_EQ(plan->env.at("VLLM_API_KEY"), "k3y-k3y-k3y");
    EXPECT_EQ(plan->env.at("CUDA_VISIBLE_DEVICES"), "1");
    EXPECT_EQ(plan->env.at("HF_HUB_OFFLINE"), "1");
    EXPECT_FALSE(plan->env.contains("VLLM_CPU_KVCACHE_SPACE"));
    EXPECT_EQ(plan->api_key, "k3y-k3y-k3y");
    EXPECT_EQ(plan->endpoint, "tcp:127.0.0.1:40001");
    EXPECT_EQ(plan->health_path, "/health");
    EXPECT_TRUE(plan->files.empty());
}

TEST(Vllm, OnSeveralDevicesAndWithOptions) {
    Install install("0.11.0");
    install.options.context_tokens = 4096;
    install.options.max_sequences = 16;
    install.options.kv_type = "f16";
    install.options.extra_args = {"--enable_prefix_caching", "--tool-call-parser=hermes", "--load-format", "mistral",
                                  "--enable-auto-tool-choice"};
    install.options.env = {{"HF_HUB_OFFLINE", "0"}, {"VLLM_USE_V1", "1"}};
    LaunchInput input = launch_input(install.options);
    input.placement = placed({claim_of("amd", 3, 1, 0.5), claim_of("amd", 2, 1, 0.75)}, 8192);
    const auto plan = vllm().launch(input);
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    const std::vector<std::string> tail(plan->argv.begin() + 9, plan->argv.end());
    EXPECT_THAT(tail, ElementsAre("--max-model-len", "4096", "--max-num-seqs", "16", "--kv-cache-dtype", "float16",
                                  "--tensor-parallel-size", "2", "--gpu-memory-utilization", "0.750", "--enable-prefix-caching",
                                  "--tool-call-parser", "hermes", "--load-format", "mistral", "--enable-auto-tool-choice"));
    EXPECT_EQ(plan->env.at("HIP_VISIBLE_DEVICES"), "3,2");
    EXPECT_EQ(plan->env.at("HF_HUB_OFFLINE"), "0") << "who deploys may let it reach the hub";
    EXPECT_EQ(plan->env.at("VLLM_USE_V1"), "1");
}

TEST(Vllm, OnACpuKvAndThreadsAreSaid) {
    const Install install("0.32.0+cpu");
    LaunchInput input = launch_input(install.options);
    input.model_path = install.folder.path("model");
    input.placement = placed({claim_of("cpu", 0, 6 * kGiB)}, 4096);
    input.devices = {cpu(2)};
    input.placement.kv_bytes = kGiB + 1;
    auto plan = vllm().launch(input);
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    EXPECT_EQ(plan->env.at("VLLM_CPU_KVCACHE_SPACE"), "2") << "whole GiB, never fewer";
    EXPECT_EQ(plan->env.at("VLLM_CPU_OMP_THREADS_BIND"), "nobind");
    EXPECT_EQ(plan->env.at("OMP_NUM_THREADS"), "2");
    EXPECT_THAT(plan->argv, Not(Contains("--gpu-memory-utilization")));
    EXPECT_THAT(plan->argv, Not(Contains("--tensor-parallel-size")));

    input.placement.kv_bytes = 0;   // then what the booking leaves beside the weights and 3.5 GiB
    install.folder.file("model/a.safetensors");
    std::filesystem::resize_file(install.folder.path("model/a.safetensors"), kGiB);
    input.devices = {cpu(64)};
    plan = vllm().launch(input);
    EXPECT_EQ(plan->env.at("VLLM_CPU_KVCACHE_SPACE"), "2");
    EXPECT_FALSE(plan->env.contains("OMP_NUM_THREADS")) << "with many cores it binds by itself";
    input.placement.claims[0].bytes = kGiB;
    EXPECT_EQ(vllm().launch(input)->env.at("VLLM_CPU_KVCACHE_SPACE"), "1");
    input.options.threads = 12;
    EXPECT_EQ(vllm().launch(input)->env.at("OMP_NUM_THREADS"), "12");
}

TEST(Vllm, ItsBuildTellsItsDevices) {
    const Install for_cpu("0.32.0+cpu");
    const Install for_gpu("0.11.0");
    const Install for_ascend("0.11.0", "0.11.0rc1");
    EXPECT_EQ(vllm().version(for_cpu.options), "0.32.0+cpu");
    EXPECT_EQ(vllm().version(for_ascend.options), "0.11.0 (vllm-ascend 0.11.0rc1)");
    EXPECT_FALSE(vllm().program_refuses(for_cpu.options, device_of("cpu", 0)));
    EXPECT_FALSE(vllm().program_refuses(for_gpu.options, device_of("nvidia", 0)));
    EXPECT_FALSE(vllm().program_refuses(for_ascend.options, device_of("ascend", 0)));
    EXPECT_THAT(vllm().program_refuses(for_cpu.options, device_of("nvidia", 0))->reason, HasSubstr("its CPU build (0.32.0+cpu)"));
    EXPECT_THAT(vllm().program_refuses(for_gpu.options, device_of("cpu", 0))->reason, HasSubstr("needs its CPU build"));
    EXPECT_THAT(vllm().program_refuses(for_gpu.options, device_of("ascend", 0))->reason, HasSubstr("vllm-ascend is not installed"));
    LaunchInput input = launch_input(for_cpu.options);
    input.placement = placed({claim_of("nvidia", 0, 1)});
    EXPECT_EQ(vllm().launch(input).error().param, "options.binary");
    BackendOptions unknown;
    unknown.binary = "/bin/true";
    EXPECT_EQ(vllm().version(unknown), "");
    EXPECT_FALSE(vllm().program_refuses(unknown, device_of("nvidia", 0)));
}

struct DeviceCase {
    const char* vendor;
    const char* chip;
    const char* reason;   // part of it; nullptr: it runs there
    const char* os = "linux";
    const char* arch = "x86_64";
};

TEST(Vllm, Devices) {
    const DeviceCase cases[] = {
        {"nvidia", "sm_90", nullptr},   {"nvidia", "sm_120", nullptr},  {"nvidia", "sm_70", nullptr},   {"nvidia", "", nullptr},
        {"nvidia", "sm_61", "7.0"},     {"amd", "gfx942", nullptr},     {"amd", "gfx1100", nullptr},    {"amd", "gfx906", "gfx906"},
        {"ascend", "910B", nullptr},    {"ascend", "910B3", nullptr},   {"ascend", "910C", nullptr},
        {"ascend", "310P", "does not run on Ascend 310P"},              {"ascend", "310P3", "MindIE"},
        {"ascend", "310B", "310B"},     {"ascend", "910A", "910A"},     {"apple", "", "Apple"},
        {"metax", "", "custom"},        {"cpu", "", nullptr},           {"cpu", "", nullptr, "linux", "aarch64"},
        {"cpu", "", "ppc64le", "linux", "ppc64le"},                     {"cpu", "", "Linux only", "darwin", "arm64"},
        {"nvidia", "sm_90", "use GGUF models with the embedded engine", "windows"},
    };
    for (const DeviceCase& tested : cases) {
        const auto refusal = vllm().refuses_device(tested.os, tested.arch, device_of(tested.vendor, 0, tested.chip));
        ASSERT_EQ(refusal.has_value(), tested.reason != nullptr) << tested.vendor << tested.chip << tested.os << tested.arch;
        if (refusal) {
            EXPECT_THAT(refusal->reason, HasSubstr(tested.reason));
        }
    }
    Device old = device_of("cpu", 0);
    old.details = "AVX";
    EXPECT_THAT(vllm().refuses_device("linux", "x86_64", old)->reason, HasSubstr("AVX2"));
    old.details = "AVX2 FMA F16C";
    EXPECT_FALSE(vllm().refuses_device("linux", "x86_64", old));
}

TEST(Vllm, Models) {
    ModelMeta meta;
    EXPECT_FALSE(vllm().refuses_model(meta)) << "nothing known, nothing refused";
    meta.format = "safetensors";
    for (const char* known : {"Qwen2ForCausalLM", "Qwen3MoeForCausalLM", "LlamaForCausalLM", "DeepseekV3ForCausalLM", "BertModel",
                              "Qwen3ForSequenceClassification", "Qwen2_5_VLForConditionalGeneration", "BaichuanForCausalLM",
                              "Qwen3Model"}) {
        meta.architecture = known;
        EXPECT_FALSE(vllm().refuses_model(meta)) << known;
    }
    for (const char* unknown : {"NoSuchForCausalLM", "ForCausalLM", "Model", "MedusaModel", "qwen2"}) {
        EXPECT_FALSE(vllm_knows(unknown)) << unknown;
    }
    meta.architecture = "NoSuchForCausalLM";
    EXPECT_THAT(vllm().refuses_model(meta)->reason, HasSubstr("NoSuchForCausalLM"));
    meta.architecture = "qwen2";
    meta.format = "gguf";
    EXPECT_THAT(vllm().refuses_model(meta)->reason, HasSubstr("\"engine\" or \"llama-server\""));
    meta.format = "safetensors";
    meta.modality = "image";
    EXPECT_THAT(vllm().refuses_model(meta)->reason, HasSubstr("not image"));
}

struct Bad {
    std::vector<std::string> words;
    const char* message;
};

TEST(Vllm, FlagsThatAreNotPassedOn) {
    const Bad cases[] = {
        {{"--host", "0.0.0.0"}, "127.0.0.1"},
        {{"--api_key=x"}, "a key of its own"},
        {{"--max-model-len", "1"}, "set context_tokens"},
        {{"--max-num-seqs", "1"}, "set max_sequences"},
        {{"--kv-cache-dtype", "fp8"}, "set kv_type"},
        {{"--gpu-memory-utilization", "0.9"}, "booked"},
        {{"-tp", "2"}, "placement"},
        {{"--tensor-parallel-siz", "2"}, "is not among"},   // argparse would complete it
        {{"--trust-remote-code"}, "\"custom\""},
        {{"--tool-parser-plugin", "/x.py"}, "loads code"},
        {{"--allowed-local-media-path", "/"}, "other files"},
        {{"--config", "/x.yaml"}, "other files"},
        {{"--load-format", "pt"}, "pickled"},
        {{"--load-format", "auto"}, "pickled"},
        {{"--load-format=runai_streamer"}, "pickled"},
        {{"--chat-template", "/etc/passwd"}, "no file"},
        {{"--generation-config", "/etc/passwd"}, "no path"},
        {{"--speculative-config", "{\"model\":\"/other\",\"num_speculative_tokens\":3}"}, "a drafter that is a model of its own"},
        {{"--speculative-config", "3"}, "JSON object"},
        {{"--enable-lora"}, "is not among"},
        {{"--model", "/other"}, "the deployment's source"},
    };
    const Install install("0.11.0");
    for (const Bad& bad : cases) {
        const BackendOptions options = with_args(install.options, bad.words);
        const Status status = vllm().validate(options);
        ASSERT_FALSE(status.ok()) << testing::PrintToString(bad.words);
        EXPECT_THAT(status.error().message, HasSubstr(bad.message));
        EXPECT_THAT(status.error().param, HasSubstr("options.extra_args["));
        EXPECT_FALSE(vllm().launch(launch_input(options)).ok());
    }
    EXPECT_TRUE(vllm().validate(with_args(install.options, {"--speculative-config", "{\"method\":\"ngram\",\"num_speculative_tokens\":3}",
                                                            "--dtype", "bfloat16", "--no-enforce-eager", "--hf-overrides", "{}"}))
                    .ok());
}

TEST(Vllm, OtherOptions) {
    const Install install("0.11.0");
    BackendOptions options = install.options;
    options.kv_type = "q8_0";
    EXPECT_EQ(vllm().validate(options).error().param, "options.kv_type");
    options = install.options;
    options.command = {"/bin/true"};
    EXPECT_EQ(vllm().validate(options).error().param, "options.command");
    for (const char* name : {"VLLM_API_KEY", "VLLM_SERVER_DEV_MODE", "VLLM_CPU_KVCACHE_SPACE", "CUDA_VISIBLE_DEVICES", "LD_PRELOAD",
                             "PYTHONPATH", "PYTHONWARNINGS", "BROWSER", "CXX", "VLLM_LOGGING_CONFIG_PATH", "GGML_BACKEND_PATH"}) {
        EXPECT_EQ(vllm().validate(with_env(install.options, name)).error().param, std::string("options.env.") + name);
    }
    options = {};
    options.binary = "/nonexistent/vllm";
    EXPECT_EQ(vllm().validate(options).error().reason, "backend_missing");
    EXPECT_FALSE(vllm().can_offload());
}

// Where shared/rivals/vllm has installed it: the flags of a whole plan are ones that this vLLM has, by its own files.
TEST(Vllm, OfARealInstall) {
    const char* home = ::getenv("HOME");
    BackendOptions options;
    options.binary = std::string(home != nullptr ? home : "") + "/.cache/gantry/rivals/vllm/bin/vllm";
    if (!std::filesystem::exists(options.binary)) GTEST_SKIP() << "no vLLM at " << options.binary;
    EXPECT_EQ(vllm().version(options), "0.32.0+cpu");
    EXPECT_TRUE(vllm().program_refuses(options, device_of("nvidia", 0)));
    options.max_sequences = 4;
    options.kv_type = "bf16";
    options.extra_args = {"--dtype", "bfloat16", "--enforce-eager"};
    LaunchInput input = launch_input(options);
    input.placement = placed({claim_of("cpu", 0, 4 * kGiB)}, 2048);
    const auto plan = vllm().launch(input);
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    std::string source;
    const std::string package = package_folder(options.binary, "vllm");
    for (const char* file : {"/engine/arg_utils.py", "/entrypoints/launchers/cli_args.py"}) {
        std::stringstream text;
        text << std::ifstream(package + file).rdbuf();
        source += text.str();
    }
    for (const std::string& word : plan->argv) {
        if (!word.starts_with("--")) continue;
        std::string field = word.substr(2);
        std::replace(field.begin(), field.end(), '-', '_');
        EXPECT_TRUE(source.find("\"" + word + "\"") != std::string::npos || source.find("\n    " + field + ": ") != std::string::npos) << word;
    }
}

}  // namespace
}  // namespace gantry::backends
