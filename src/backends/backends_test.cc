#include "backends/backends.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backends/backends_for_test.h"

namespace gantry::backends {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

BackendOptions custom_options(std::vector<std::string> command) {
    BackendOptions options;
    options.command = std::move(command);
    return options;
}

BackendOptions llama_options() {
    BackendOptions options;
    options.binary = "/bin/true";  // stands for llama-server: nothing is started here
    return options;
}

TEST(EngineBackend, CommandLine) {
    const auto plan = backend(BackendKind::kEngine).launch(launch_input({}));
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    EXPECT_THAT(plan->argv, ElementsAre("/opt/gantry/bin/gantry", "engine", "--model", "/models/a model.gguf", "--socket",
                                        "/run/x.sock", "--model-name", "org/tiny:q4", "--exit-file", "/data/exit.json"));
    EXPECT_EQ(plan->endpoint, "unix:/run/x.sock");
    EXPECT_EQ(plan->api_key, "");
    EXPECT_EQ(plan->health_path, "/health");
    EXPECT_TRUE(plan->writes_exit_file);
    EXPECT_TRUE(plan->env.empty());
}

TEST(EngineBackend, OptionsBecomeFlagsAndExtraArgsComeLast) {
    BackendOptions options;
    options.context_tokens = 4096;
    options.max_sequences = 8;
    options.threads = 2;
    options.extra_args = {"--sleep-after=7", "--no-speculation"};
    options.env = {{"OMP_NUM_THREADS", "2"}};
    const auto plan = backend(BackendKind::kEngine).launch(launch_input(options));
    ASSERT_TRUE(plan.ok());
    const std::vector<std::string> tail(plan->argv.begin() + 10, plan->argv.end());
    EXPECT_THAT(tail, ElementsAre("--ctx", "4096", "--max-sequences", "8", "--threads", "2", "--sleep-after", "7", "--no-speculation"));
    EXPECT_EQ(plan->env.at("OMP_NUM_THREADS"), "2");
}

TEST(LlamaServerBackend, CommandLineHoldsNoSecret) {
    BackendOptions options = llama_options();
    options.context_tokens = 8192;
    options.max_sequences = 6;
    options.threads = 2;
    const auto plan = backend(BackendKind::kLlamaServer).launch(launch_input(options));
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    EXPECT_THAT(plan->argv, ElementsAre("/bin/true", "-m", "/models/a model.gguf", "--host", "127.0.0.1", "--port", "40001",
                                        "--alias", "org/tiny:q4", "--no-webui", "--metrics", "-c", "8192", "-np", "6", "-t", "2", "-kvu",
                                        "--cache-ram", "0"));
    EXPECT_THAT(plan->argv, Not(Contains(HasSubstr("k3y"))));
    EXPECT_EQ(plan->env.at("LLAMA_API_KEY"), "k3y-k3y-k3y");
    EXPECT_EQ(plan->api_key, "k3y-k3y-k3y");
    EXPECT_EQ(plan->endpoint, "tcp:127.0.0.1:40001");
    EXPECT_FALSE(plan->writes_exit_file);
}

TEST(LlamaServerBackend, LeavesItsDefaultsAlone) {
    const auto plan = backend(BackendKind::kLlamaServer).launch(launch_input(llama_options()));
    ASSERT_TRUE(plan.ok());
    for (const char* flag : {"-c", "-np", "-t", "-kvu"}) {
        EXPECT_THAT(plan->argv, Not(Contains(flag)));
    }
}

TEST(LlamaServerBackend, SlotsMayBeDividedWhenAskedFor) {
    BackendOptions options = llama_options();
    options.max_sequences = 2;
    options.extra_args = {"--no-kv-unified"};
    const auto plan = backend(BackendKind::kLlamaServer).launch(launch_input(options));
    ASSERT_TRUE(plan.ok());
    EXPECT_THAT(plan->argv, Not(Contains("-kvu")));
}

TEST(LlamaServerBackend, IsGivenTheTowerForPictures) {
    LaunchInput input = launch_input(llama_options());
    input.tower_path = "/models/mmproj-f16.gguf";
    const Backend& llama = backend(BackendKind::kLlamaServer);
    EXPECT_EQ(value_after(llama.launch(input)->argv, "--mmproj"), "/models/mmproj-f16.gguf");
    EXPECT_THAT(llama.launch(input)->argv, Not(Contains("--no-mmproj-offload"))) << "where nothing was placed, its own defaults";
    input.placement = placed({claim_of("cpu", 0, 1 << 30)}, 2048);
    EXPECT_THAT(llama.launch(input)->argv, Contains("--no-mmproj-offload"));
    input.options.extra_args = {"--mmproj-offload"};
    EXPECT_THAT(llama.launch(input)->argv, Not(Contains("--no-mmproj-offload")));
    input.options.extra_args = {"--no-mmproj"};
    EXPECT_EQ(value_after(llama.launch(input)->argv, "--mmproj"), "");
    input.options = {};
    EXPECT_EQ(value_after(backend(BackendKind::kEngine).launch(input)->argv, "--mmproj"), "") << "the embedded engine takes text alone";
}

TEST(Backends, WhoTakesPictures) {
    ModelMeta sees, blind, unknown;
    sees.format = blind.format = "gguf";
    sees.modality = "vision";
    blind.modality = "text";
    using enum BackendKind;
    EXPECT_TRUE(takes_pictures(kLlamaServer, {}, sees));
    EXPECT_FALSE(takes_pictures(kLlamaServer, {}, blind));
    EXPECT_FALSE(takes_pictures(kLlamaServer, with_args({}, {"--no-mmproj"}), sees));
    EXPECT_TRUE(takes_pictures(kLlamaServer, {}, unknown)) << "it will say so itself";
    EXPECT_FALSE(takes_pictures(kEngine, {}, sees));
    EXPECT_TRUE(takes_pictures(kVllm, {}, blind)) << "vLLM knows better than a configuration's reader";
}

TEST(Backends, ATowerByItselfIsNoModel) {
    ModelMeta tower;
    tower.format = "gguf";
    tower.architecture = "clip";
    for (const BackendKind kind : {BackendKind::kEngine, BackendKind::kLlamaServer}) {
        const auto refusal = backend(kind).refuses_model(tower);
        ASSERT_TRUE(refusal);
        EXPECT_THAT(refusal->reason, HasSubstr("tower for pictures"));
    }
}

TEST(LlamaServerBackend, FindsItsBinaryInPath) {
    const TestFolder folder;
    const std::string binary = folder.program("llama-server");
    const char* before = ::getenv("PATH");
    const std::string path = before != nullptr ? before : "";
    ::setenv("PATH", ("/nonexistent:" + folder.path()).c_str(), 1);
    const auto plan = backend(BackendKind::kLlamaServer).launch(launch_input({}));
    ::setenv("PATH", "/nonexistent", 1);
    const Status missing = backend(BackendKind::kLlamaServer).validate({});
    ::setenv("PATH", path.c_str(), 1);
    ASSERT_TRUE(plan.ok());
    EXPECT_EQ(plan->argv[0], binary);
    ASSERT_FALSE(missing.ok());
    EXPECT_EQ(missing.error().param, "options.binary");
    EXPECT_EQ(missing.error().reason, "backend_missing");
    EXPECT_EQ(missing.error().code, ErrorCode::kInvalidArgument);
}

TEST(EngineBackend, PlacementSaysTheContextWhereOptionsDoNot) {
    LaunchInput input = launch_input({});
    input.placement = placed({claim_of("cpu", 0, 1 << 30)}, 2048);
    EXPECT_EQ(value_after(backend(BackendKind::kEngine).launch(input)->argv, "--ctx"), "2048");
    input.options.context_tokens = 512;
    input.options.kv_type = "q8_0";
    const auto plan = backend(BackendKind::kEngine).launch(input);
    EXPECT_EQ(value_after(plan->argv, "--ctx"), "512");
    EXPECT_EQ(value_after(plan->argv, "--kv-type"), "q8_0");
    EXPECT_TRUE(plan->env.empty());
}

TEST(EngineBackend, ComputesWhereItWasBuiltFor) {
    const Backend& engine = backend(BackendKind::kEngine);
    EXPECT_FALSE(engine.refuses_device("linux", "x86_64", device_of("cpu", 0)));
    const auto refusal = engine.refuses_device("linux", "x86_64", device_of("cambricon", 0));
    ASSERT_TRUE(refusal);
    EXPECT_THAT(refusal->reason, HasSubstr("llama.cpp, its engine, has no backend for cambricon"));
    if (const auto cuda = engine.refuses_device("linux", "x86_64", device_of("nvidia", 0, "sm_80"))) {   // not of a build for CUDA
        EXPECT_THAT(cuda->reason, HasSubstr("computes on: cpu; one configured with -DGGML_CUDA=ON computes on nvidia"));
    }
}

TEST(LlamaServerBackend, PlacementBecomesLayersAndSplit) {
    LaunchInput input = launch_input(llama_options());
    input.placement = placed({claim_of("nvidia", 2, 8ull << 30, 0, 20), claim_of("nvidia", 0, 4ull << 30, 0, 8)}, 4096);
    input.placement.layers = 40;
    input.placement.layers_on_devices = 28;
    const auto plan = backend(BackendKind::kLlamaServer).launch(input);
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    EXPECT_EQ(value_after(plan->argv, "-c"), "4096");
    EXPECT_EQ(value_after(plan->argv, "-ngl"), "28");
    EXPECT_EQ(value_after(plan->argv, "--tensor-split"), "20,8");
    EXPECT_EQ(plan->env.at("CUDA_VISIBLE_DEVICES"), "2,0");
    EXPECT_EQ(plan->env.at("CUDA_DEVICE_ORDER"), "PCI_BUS_ID");

    input.placement.layers_on_devices = 40;
    input.placement.claims[1].layers = 0;
    const auto whole = backend(BackendKind::kLlamaServer).launch(input);
    EXPECT_EQ(value_after(whole->argv, "-ngl"), "999");
    EXPECT_EQ(value_after(whole->argv, "--tensor-split"), "8192,4096");
    input.placement.claims[0].layers = 26;
    input.placement.claims[1].layers = 14;
    const auto with_output = backend(BackendKind::kLlamaServer).launch(input);
    EXPECT_EQ(value_after(with_output->argv, "--tensor-split"), "26,15") << "llama.cpp counts the output as one more";

    input.placement = placed({claim_of("cpu", 0, 1 << 30)});
    const auto memory = backend(BackendKind::kLlamaServer).launch(input);
    EXPECT_EQ(value_after(memory->argv, "--device"), "none");
    EXPECT_EQ(value_after(memory->argv, "-ngl"), "0");
    EXPECT_FALSE(memory->env.contains("CUDA_VISIBLE_DEVICES"));
}

TEST(LlamaServerBackend, WhatLiesBesideItTellsItsDevices) {
    const TestFolder folder;
    BackendOptions options;
    options.binary = folder.program("bin/llama-server");
    const Backend& llama = backend(BackendKind::kLlamaServer);
    EXPECT_FALSE(llama.program_refuses(options, device_of("nvidia", 0))) << "a static build does not tell";
    folder.file("lib/libggml-base.so");
    folder.file("lib/libggml-hip.so");
    const auto refusal = llama.program_refuses(options, device_of("nvidia", 0));
    ASSERT_TRUE(refusal);
    EXPECT_THAT(refusal->reason, HasSubstr("no libggml-cuda or libggml-vulkan beside it"));
    EXPECT_FALSE(llama.program_refuses(options, device_of("amd", 0)));
    EXPECT_FALSE(llama.program_refuses(options, device_of("cpu", 0)));
    LaunchInput input = launch_input(options);
    input.placement = placed({claim_of("nvidia", 0, 1 << 30)});
    EXPECT_EQ(llama.launch(input).error().param, "options.binary");
}

TEST(LlamaServerBackend, TypeOfTheKvCache) {
    BackendOptions options = llama_options();
    options.kv_type = "q4_0";
    const auto plan = backend(BackendKind::kLlamaServer).launch(launch_input(options));
    EXPECT_EQ(value_after(plan->argv, "-ctk"), "q4_0");
    EXPECT_EQ(value_after(plan->argv, "-ctv"), "q4_0");
}

TEST(CustomBackend, DevicesArePlacements) {
    BackendOptions options = custom_options({"/bin/true", "{{port}}", "--gpus={{devices}}", "-n", "{{device_count}}"});
    LaunchInput input = launch_input(options);
    EXPECT_THAT(backend(BackendKind::kCustom).launch(input)->argv, ElementsAre("/bin/true", "40001", "--gpus=", "-n", "0"));
    input.placement = placed({claim_of("ascend", 4, 1), claim_of("ascend", 5, 1)});
    const auto plan = backend(BackendKind::kCustom).launch(input);
    EXPECT_THAT(plan->argv, ElementsAre("/bin/true", "40001", "--gpus=4,5", "-n", "2"));
    EXPECT_EQ(plan->env.at("ASCEND_RT_VISIBLE_DEVICES"), "4,5");
    input.options.env["ASCEND_RT_VISIBLE_DEVICES"] = "7";
    EXPECT_EQ(backend(BackendKind::kCustom).launch(input)->env.at("ASCEND_RT_VISIBLE_DEVICES"), "7") << "its own choice stays";
}

TEST(Backends, OneInstanceOverSeveralMachinesIsRefusedByThoseThatCannot) {
    LaunchInput input = launch_input({});
    input.placement = placed({claim_of("cpu", 0, 1)});
    input.span = SpanInput{.part = 0, .peers = {{.address = "10.0.0.1", .port = 4000}, {.address = "10.0.0.2", .port = 4001}}};
    EXPECT_FALSE(backend(BackendKind::kEngine).spanning() || backend(BackendKind::kCustom).spanning());
    const auto plan = backend(BackendKind::kEngine).launch(input);
    ASSERT_FALSE(plan.ok());
    EXPECT_EQ(plan.error().param, "placement.across_workers");
}

TEST(CustomBackend, ReplacesPlaceholdersInsideWords) {
    BackendOptions options = custom_options({"/bin/true", "--model={{model}}", "http://127.0.0.1:{{port}}/{{name}}", "{x}", "}}"});
    options.env = {{"SERVED_NAME", "{{name}}"}};
    options.extra_args = {"--tag", "{{name}}"};
    const auto plan = backend(BackendKind::kCustom).launch(launch_input(options));
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    EXPECT_THAT(plan->argv, ElementsAre("/bin/true", "--model=/models/a model.gguf", "http://127.0.0.1:40001/org/tiny:q4", "{x}",
                                        "}}", "--tag", "org/tiny:q4"));
    EXPECT_EQ(plan->env.at("SERVED_NAME"), "org/tiny:q4");
    EXPECT_EQ(plan->health_path, "/health");
    EXPECT_EQ(plan->api_key, "");
}

TEST(CustomBackend, ShellWordsStayWords) {
    const auto plan = backend(BackendKind::kCustom)
                          .launch(launch_input(custom_options({"/bin/true", "{{port}}", "; rm -rf /", "$(id)", "`id`", "a|b"})));
    ASSERT_TRUE(plan.ok());
    EXPECT_THAT(plan->argv, ElementsAre("/bin/true", "40001", "; rm -rf /", "$(id)", "`id`", "a|b"));
}

TEST(CustomBackend, PlaceholdersAreNotReplacedTwice) {
    LaunchInput input = launch_input(custom_options({"/bin/true", "{{port}}", "{{model}}"}));
    input.model_path = "{{name}}";
    const auto plan = backend(BackendKind::kCustom).launch(input);
    ASSERT_TRUE(plan.ok());
    EXPECT_EQ(plan->argv[2], "{{name}}");
}

TEST(CustomBackend, HealthPathIsTheDeployments) {
    BackendOptions options = custom_options({"/bin/true", "{{port}}"});
    options.health_path = "/v1/models";
    EXPECT_EQ(backend(BackendKind::kCustom).launch(launch_input(options))->health_path, "/v1/models");
}

struct BadOptions {
    const char* name;
    BackendKind kind;
    BackendOptions options;
    const char* param;
};
void PrintTo(const BadOptions& refusal, std::ostream* out) { *out << refusal.name; }

BackendOptions with_health(BackendOptions options, const std::string& path) {
    options.health_path = path;
    return options;
}

BackendOptions with_kv(BackendOptions options, const std::string& type) {
    options.kv_type = type;
    return options;
}

class Refused : public testing::TestWithParam<BadOptions> {};

TEST_P(Refused, NamesTheField) {
    const BadOptions& refusal = GetParam();
    const Status status = backend(refusal.kind).validate(refusal.options);
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(status.error().param, refusal.param) << status.error().message;
    EXPECT_FALSE(backend(refusal.kind).launch(launch_input(refusal.options)).ok()) << "launch must refuse it as well";
}

const BackendKind kEngine = BackendKind::kEngine;
const BackendKind kLlama = BackendKind::kLlamaServer;
const BackendKind kCustom = BackendKind::kCustom;
const BackendOptions kPlain = custom_options({"/bin/true", "{{port}}"});

INSTANTIATE_TEST_SUITE_P(
    Options, Refused,
    testing::Values(
        BadOptions{"engine_host", kEngine, with_args({}, {"--host", "0.0.0.0"}), "options.extra_args[0]"},
        BadOptions{"engine_host_equals", kEngine, with_args({}, {"--sleep-after", "1", "--host=0.0.0.0"}), "options.extra_args[2]"},
        BadOptions{"engine_model", kEngine, with_args({}, {"--model", "/other"}), "options.extra_args[0]"},
        BadOptions{"engine_key", kEngine, with_args({}, {"--api-key=x"}), "options.extra_args[0]"},
        BadOptions{"engine_line_break", kEngine, with_args({}, {"a\n--host"}), "options.extra_args[0]"},
        BadOptions{"engine_zero_byte", kEngine, with_args({}, {std::string("a\0b", 3)}), "options.extra_args[0]"},
        BadOptions{"engine_too_many", kEngine, with_args({}, std::vector<std::string>(1000, "x")), "options.extra_args"},
        BadOptions{"engine_too_long", kEngine, with_args({}, {std::string(100'000, 'x')}), "options.extra_args[0]"},
        BadOptions{"engine_preload", kEngine, with_env({}, "LD_PRELOAD"), "options.env.LD_PRELOAD"},
        BadOptions{"engine_library_path", kEngine, with_env({}, "LD_LIBRARY_PATH"), "options.env.LD_LIBRARY_PATH"},
        BadOptions{"engine_audit", kEngine, with_env({}, "LD_AUDIT"), "options.env.LD_AUDIT"},
        BadOptions{"engine_tunables", kEngine, with_env({}, "GLIBC_TUNABLES"), "options.env.GLIBC_TUNABLES"},
        BadOptions{"engine_path", kEngine, with_env({}, "PATH"), "options.env.PATH"},
        BadOptions{"engine_own", kEngine, with_env({}, "GANTRY_INSTANCE_NONCE"), "options.env.GANTRY_INSTANCE_NONCE"},
        BadOptions{"engine_env_equals", kEngine, with_env({}, "A=B"), "options.env"},
        BadOptions{"engine_env_empty", kEngine, with_env({}, ""), "options.env"},
        BadOptions{"engine_env_zero", kEngine, with_env({}, "A", std::string("a\0b", 3)), "options.env.A"},
        BadOptions{"engine_command", kEngine, custom_options({"/bin/true"}), "options.command"},
        BadOptions{"engine_binary", kEngine, llama_options(), "options.binary"},
        BadOptions{"engine_health", kEngine, with_health({}, "/x"), "options.health_path"},
        BadOptions{"llama_host", kLlama, with_args(llama_options(), {"--host", "0.0.0.0"}), "options.extra_args[0]"},
        BadOptions{"llama_key_underscore", kLlama, with_args(llama_options(), {"--api_key", "x"}), "options.extra_args[0]"},
        BadOptions{"llama_model", kLlama, with_args(llama_options(), {"-m", "/other"}), "options.extra_args[0]"},
        BadOptions{"llama_repo", kLlama, with_args(llama_options(), {"-hf", "a/b"}), "options.extra_args[0]"},
        BadOptions{"llama_token", kLlama, with_args(llama_options(), {"--hf-token", "hf_x"}), "options.extra_args[0]"},
        BadOptions{"llama_projector_url", kLlama, with_args(llama_options(), {"-mmu", "http://a/b"}), "options.extra_args[0]"},
        BadOptions{"llama_rpc", kLlama, with_args(llama_options(), {"--rpc", "10.0.0.7:1"}), "options.extra_args[0]"},
        BadOptions{"llama_tools", kLlama, with_args(llama_options(), {"--tools", "all"}), "options.extra_args[0]"},
        BadOptions{"llama_path", kLlama, with_args(llama_options(), {"--path", "/"}), "options.extra_args[0]"},
        BadOptions{"llama_slots", kLlama, with_args(llama_options(), {"--slot-save-path", "/"}), "options.extra_args[0]"},
        BadOptions{"engine_kv_twice", kEngine, with_kv(with_args({}, {"--kv-type", "f16"}), "q8_0"), "options.extra_args[0]"},
        BadOptions{"engine_kv_unknown", kEngine, with_kv({}, "fp8"), "options.kv_type"},
        BadOptions{"engine_devices", kEngine, with_env({}, "CUDA_VISIBLE_DEVICES"), "options.env.CUDA_VISIBLE_DEVICES"},
        BadOptions{"llama_layers", kLlama, with_args(llama_options(), {"--n_gpu_layers=3"}), "options.extra_args[0]"},
        BadOptions{"llama_split", kLlama, with_args(llama_options(), {"-ts", "1,1"}), "options.extra_args[0]"},
        BadOptions{"llama_kv_twice", kLlama, with_kv(with_args(llama_options(), {"-ctv", "f16"}), "q8_0"), "options.extra_args[0]"},
        BadOptions{"llama_kv_unknown", kLlama, with_kv(llama_options(), "fp8"), "options.kv_type"},
        BadOptions{"llama_devices", kLlama, with_env(llama_options(), "HIP_VISIBLE_DEVICES"), "options.env.HIP_VISIBLE_DEVICES"},
        BadOptions{"custom_kv", kCustom, with_kv(kPlain, "f16"), "options.kv_type"},
        BadOptions{"llama_env", kLlama, with_env(llama_options(), "LLAMA_ARG_HOST"), "options.env.LLAMA_ARG_HOST"},
        BadOptions{"llama_env_key", kLlama, with_env(llama_options(), "LLAMA_API_KEY"), "options.env.LLAMA_API_KEY"},
        BadOptions{"llama_no_binary", kLlama,
                [] { BackendOptions o; o.binary = "/nonexistent/llama-server"; return o; }(), "options.binary"},
        BadOptions{"llama_relative_binary", kLlama, [] { BackendOptions o; o.binary = "bin/true"; return o; }(), "options.binary"},
        BadOptions{"llama_folder", kLlama, [] { BackendOptions o; o.binary = "/tmp"; return o; }(), "options.binary"},
        BadOptions{"custom_empty", kCustom, {}, "options.command"},
        BadOptions{"custom_unknown", kCustom, custom_options({"/bin/true", "{{port}}", "{{secret}}"}), "options.command[2]"},
        BadOptions{"custom_unknown_in_env", kCustom, with_env(kPlain, "A", "{{b}}"), "options.env.A"},
        BadOptions{"custom_spaces", kCustom, custom_options({"/bin/true", "{{ port }}"}), "options.command[1]"},
        BadOptions{"custom_no_port", kCustom, custom_options({"/bin/true", "--serve"}), "options.command"},
        BadOptions{"custom_no_program", kCustom, custom_options({"/nonexistent", "{{port}}"}), "options.command[0]"},
        BadOptions{"custom_public", kCustom, custom_options({"/bin/true", "{{port}}", "--bind", "0.0.0.0"}), "options.command[3]"},
        BadOptions{"custom_public_equals", kCustom, custom_options({"/bin/true", "{{port}}", "--bind=::"}), "options.command[2]"},
        BadOptions{"custom_public_port", kCustom, custom_options({"/bin/true", "0.0.0.0:{{port}}"}), "options.command[1]"},
        BadOptions{"custom_key", kCustom, custom_options({"/bin/true", "{{port}}", "--api-key", "x"}), "options.command[2]"},
        BadOptions{"custom_extra_host", kCustom, with_args(kPlain, {"--host", "1.2.3.4"}), "options.extra_args[0]"},
        BadOptions{"custom_health", kCustom, with_health(kPlain, "health"), "options.health_path"},
        BadOptions{"custom_health_space", kCustom, with_health(kPlain, "/a b"), "options.health_path"},
        BadOptions{"custom_preload", kCustom, with_env(kPlain, "LD_PRELOAD"), "options.env.LD_PRELOAD"}),
    [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace gantry::backends
