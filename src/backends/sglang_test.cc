#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backends/backends_for_test.h"

namespace gantry::backends {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

const Backend& sglang() { return backend(BackendKind::kSglang); }

LaunchInput input_for(const TestFolder& folder, const std::string& program) {
    BackendOptions options;
    options.binary = folder.program("bin/" + program);
    LaunchInput input = launch_input(options);
    input.name = "org/tiny";
    input.model_path = "/models/qwen";
    input.placement = placed({claim_of("nvidia", 0, 1, 0.6), claim_of("nvidia", 1, 1, 0.6)}, 16384);
    return input;
}

TEST(Sglang, ByItsProgram) {
    const TestFolder folder;
    LaunchInput input = input_for(folder, "sglang");
    input.options.max_sequences = 32;
    input.options.kv_type = "fp8_e5m2";
    input.options.extra_args = {"--reasoning_parser", "qwen3", "--disable-radix-cache"};
    const auto plan = sglang().launch(input);
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    EXPECT_THAT(plan->argv,
                ElementsAre(input.options.binary, "serve", "--model-path", "/models/qwen", "--served-model-name", "org/tiny", "--host",
                            "127.0.0.1", "--port", "40001", "--load-format", "safetensors", "--enable-metrics", "--context-length",
                            "16384", "--max-running-requests", "32", "--kv-cache-dtype", "fp8_e5m2", "--tp-size", "2",
                            "--mem-fraction-static", "0.600", "--config", "/data/instances/ins_1/sglang.yaml", "--reasoning-parser",
                            "qwen3", "--disable-radix-cache"));
    EXPECT_THAT(plan->argv, Not(Contains(HasSubstr("k3y"))));
    EXPECT_EQ(plan->files.at("sglang.yaml"), "api-key: \"k3y-k3y-k3y\"\n");
    EXPECT_EQ(plan->env.at("CUDA_VISIBLE_DEVICES"), "0,1");
    EXPECT_EQ(plan->api_key, "k3y-k3y-k3y");
    EXPECT_EQ(plan->health_path, "/health");
}

TEST(Sglang, ByAnInterpreter) {
    const TestFolder folder;
    const auto plan = sglang().launch(input_for(folder, "python3"));
    ASSERT_TRUE(plan.ok());
    EXPECT_EQ(plan->argv[1], "-m");
    EXPECT_EQ(plan->argv[2], "sglang.launch_server");
    folder.folder("lib/python3.12/site-packages/sglang-0.4.6.dist-info");
    EXPECT_EQ(sglang().version(input_for(folder, "python3").options), "0.4.6");
}

TEST(Sglang, OnAscend) {
    const TestFolder folder;
    LaunchInput input = input_for(folder, "sglang");
    input.placement = placed({claim_of("ascend", 6, 1, 0.5)});
    const auto plan = sglang().launch(input);
    EXPECT_EQ(value_after(plan->argv, "--device"), "npu");
    EXPECT_EQ(plan->env.at("ASCEND_RT_VISIBLE_DEVICES"), "6");
}

TEST(Sglang, WhatItRefuses) {
    const TestFolder folder;
    LaunchInput input = input_for(folder, "sglang");
    input.name = "org/tiny:q4";
    EXPECT_EQ(sglang().launch(input).error().param, "name");
    for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
             {"--host", "0.0.0.0"}, {"--tp", "2"}, {"--t", "2"}, {"--trust-remote-code"}, {"--mem_fraction_static=0.9"}, {"--config", "x"},
             {"--chat-template", "/etc/passwd"}, {"--no-disable-radix-cache"}, {"--api-key", "x"}}) {
        const Status status = sglang().validate(with_args(input.options, words));
        ASSERT_FALSE(status.ok()) << testing::PrintToString(words);
        EXPECT_THAT(status.error().param, HasSubstr("options.extra_args[")) << testing::PrintToString(words);
    }
    ModelMeta meta;
    meta.format = "gguf";
    EXPECT_TRUE(sglang().refuses_model(meta));
    meta.format = "safetensors";
    meta.architecture = "NoSuchForCausalLM";
    EXPECT_FALSE(sglang().refuses_model(meta));
    const struct {
        const char* vendor;
        const char* chip;
        bool refused;
    } cases[] = {{"nvidia", "sm_80", false}, {"nvidia", "sm_75", true},  {"nvidia", "", false},    {"amd", "gfx942", false},
                 {"amd", "gfx1100", true},   {"ascend", "910B", false},  {"ascend", "310P", true}, {"cpu", "", true},
                 {"apple", "", true},        {"hygon", "", true}};
    for (const auto& tested : cases) {
        EXPECT_EQ(sglang().refuses_device("linux", "x86_64", device_of(tested.vendor, 0, tested.chip)).has_value(), tested.refused)
            << tested.vendor << " " << tested.chip;
    }
    EXPECT_TRUE(sglang().refuses_device("windows", "x86_64", device_of("nvidia", 0, "sm_90")));
}

}  // namespace
}  // namespace gantry::backends
