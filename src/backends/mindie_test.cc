#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backends/backends_for_test.h"
#include "base/json.h"

namespace gantry::backends {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const Backend& mindie() { return backend(BackendKind::kMindie); }

// As Huawei's .run packages lie, of which nothing runs.
struct Install {
    Install() {
        options.binary = folder.program("mindie/latest/mindie-service/bin/mindieservice_daemon", "\x7f" "ELF");
        folder.folder("mindie/latest/mindie-service/lib/grpc");
        folder.folder("mindie/latest/mindie-llm/lib");
        folder.file("model/config.json", R"({"architectures":["Qwen2ForCausalLM"],"torch_dtype":"bfloat16"})");
    }
    LaunchInput input() const {
        LaunchInput input = launch_input(options);
        input.name = "DeepSeek-R1-Distill-Qwen-32B";
        input.model_path = folder.path("model");
        input.placement = placed({claim_of("ascend", 4, 1, 0.8421), claim_of("ascend", 6, 1, 0.8421)}, 16384);
        input.devices = {device_of("ascend", 4, "910B"), device_of("ascend", 6, "910B")};
        return input;
    }
    TestFolder folder;
    BackendOptions options;
};

json::object config_of(const LaunchPlan& plan) { return parse_json(plan.files.at("config.json"))->as_object(); }

TEST(Mindie, WhatItWouldStart) {
    const Install install;
    const auto plan = mindie().launch(install.input());
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    EXPECT_THAT(plan->argv, ElementsAre(install.options.binary));
    EXPECT_EQ(plan->env.at("MIES_CONFIG_JSON_PATH"), "/data/instances/ins_1/config.json");
    EXPECT_EQ(plan->env.at("MIES_INSTALL_PATH"), install.folder.path("mindie/latest/mindie-service"));
    EXPECT_EQ(plan->env.at("MINDIE_LLM_HOME_PATH"), install.folder.path("mindie/latest/mindie-llm"));
    EXPECT_EQ(plan->env.at("ASCEND_RT_VISIBLE_DEVICES"), "4,6");
    EXPECT_EQ(plan->env.at("NPU_MEMORY_FRACTION"), "0.843");
    EXPECT_EQ(plan->env.at("MINDIE_LOG_TO_STDOUT"), "1");
    EXPECT_THAT(plan->env.at("LD_LIBRARY_PATH"), HasSubstr(install.folder.path("mindie/latest/mindie-service/lib/grpc")));
    EXPECT_THAT(plan->env.at("LD_LIBRARY_PATH"), HasSubstr(install.folder.path("mindie/latest/mindie-llm/lib")));
    EXPECT_THAT(plan->env.at("PYTHONPATH"), HasSubstr(install.folder.path("mindie/latest/mindie-service/bin")));
    EXPECT_EQ(plan->endpoint, "tcp:127.0.0.1:40001");
    EXPECT_EQ(plan->api_key, "");
    EXPECT_EQ(plan->health_path, "/v1/models");

    json::object config = config_of(*plan);
    json::object& server = config["ServerConfig"].as_object();
    for (const char* port : {"port", "managementPort", "metricsPort"}) EXPECT_EQ(server[port], 40001) << port;
    EXPECT_EQ(server["ipAddress"], "127.0.0.1");
    EXPECT_EQ(server["httpsEnabled"], false);
    json::object& back = config["BackendConfig"].as_object();
    EXPECT_EQ(json::serialize(back["npuDeviceIds"]), "[[0,1]]");
    json::object& deploy = back["ModelDeployConfig"].as_object();
    EXPECT_EQ(deploy["maxSeqLen"], 16384);
    EXPECT_EQ(deploy["maxInputTokenLen"], 16384);
    json::object& model = deploy["ModelConfig"].as_array().at(0).as_object();
    EXPECT_EQ(model["modelName"], "DeepSeek-R1-Distill-Qwen-32B");
    EXPECT_EQ(model["modelWeightPath"], json::value(install.folder.path("model")));
    EXPECT_EQ(model["worldSize"], 2);
    EXPECT_EQ(model["npuMemSize"], -1);
    EXPECT_EQ(model["trustRemoteCode"], false);
    json::object& schedule = back["ScheduleConfig"].as_object();
    EXPECT_EQ(schedule["maxPrefillTokens"], 16384);
    EXPECT_EQ(schedule["maxIterTimes"], 16384);
    EXPECT_EQ(schedule["maxBatchSize"], 200);
}

// Fields of the shipped file that ours leaves out on purpose: certificates, what is for several machines or two halves of one.
bool left_out(std::string_view name) {
    constexpr std::string_view kParts[] = {"tls",          "Tls",              "interCommPk",     "layerwiseDisaggregated",
                                           "kvPoolConfig", "kv_trans_timeout", "kv_link_timeout", "models",
                                           "HealthCheckConfig"};
    const auto in_name = [name](std::string_view part) { return name.find(part) != std::string_view::npos; };
    return std::any_of(std::begin(kParts), std::end(kParts), in_name);
}

void compare(const json::object& shipped, const json::object& ours, const std::string& where) {
    for (const auto& [name, value] : shipped) {
        const std::string path = where + "." + std::string(name);
        const json::value* mine = ours.if_contains(name);
        if (mine == nullptr) {
            EXPECT_TRUE(left_out(name)) << path << " is missing";
            continue;
        }
        if (value.is_object()) {
            ASSERT_TRUE(mine->is_object()) << path;
            compare(value.as_object(), mine->as_object(), path);
        } else if (value.is_array() && !value.as_array().empty() && value.as_array()[0].is_object()) {
            compare(value.as_array()[0].as_object(), mine->as_array().at(0).as_object(), path);
        } else {
            const bool alike = value.kind() == mine->kind() || (value.is_number() && mine->is_number()) || name == "truncation";
            EXPECT_TRUE(alike) << path << ": " << value << " and " << *mine;   // truncation: a number or, as older versions have it, a bool
        }
    }
    for (const auto& [name, value] : ours) {
        EXPECT_TRUE(shipped.contains(name) || name == "enablePrefixCache" || name == "plugin_params")
            << where << "." << name << " is unknown to MindIE";
    }
}

TEST(Mindie, EveryFieldIsOneOfTheShippedFile) {
    const Install install;
    LaunchInput input = install.input();
    input.options.extra_args = {"--enable-prefix-caching", "--truncation", "--e2e-timeout", "900", "--async_scheduler_wait_time=60"};
    const auto plan = mindie().launch(input);
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    const Result<json::value> shipped = parse_json(recorded("mindie-config.json"));
    ASSERT_TRUE(shipped.ok());
    compare(shipped->as_object(), config_of(*plan), "");
}

TEST(Mindie, FlagsAreFields) {
    const Install install;
    LaunchInput input = install.input();
    input.options.max_sequences = 32;
    input.options.extra_args = {"--max-prefill-tokens", "32768", "--no-support-select-batch", "--truncation", "--token-timeout=900",
                                "--enable-prefix-caching"};
    json::object config = config_of(*mindie().launch(input));
    json::object& back = config["BackendConfig"].as_object();
    json::object& schedule = back["ScheduleConfig"].as_object();
    EXPECT_EQ(schedule["maxPrefillTokens"], 32768);
    EXPECT_EQ(schedule["supportSelectBatch"], false);
    EXPECT_EQ(schedule["maxBatchSize"], 32);
    EXPECT_EQ(schedule["maxPrefillBatchSize"], 32);
    EXPECT_EQ(schedule["enablePrefixCache"], true);
    EXPECT_EQ(back["ModelDeployConfig"].as_object()["truncation"], true);
    EXPECT_EQ(config["ServerConfig"].as_object()["tokenTimeout"], 900);
}

TEST(Mindie, OfThePythonPackage) {
    const TestFolder folder;
    BackendOptions options;
    options.binary = folder.program("bin/mindie_llm_server", "#!" + folder.path("bin/python3") + "\n");
    folder.folder("lib/python3.11/site-packages/mindie_llm/lib/grpc");
    folder.folder("lib/python3.11/site-packages/atb_llm/lib");
    folder.folder("lib/python3.11/site-packages/torch/lib");
    folder.folder("lib/python3.11/site-packages/mindie_llm-3.0.0.dist-info");
    EXPECT_EQ(mindie().version(options), "3.0.0");
    LaunchInput input = Install().input();
    input.options = options;
    const auto plan = mindie().launch(input);
    const std::string packages = folder.path("lib/python3.11/site-packages");
    EXPECT_EQ(plan->env.at("MINDIE_LLM_HOME_PATH"), packages + "/mindie_llm");
    EXPECT_EQ(plan->env.at("ATB_SPEED_HOME_PATH"), packages + "/atb_llm");
    EXPECT_THAT(plan->env.at("LD_LIBRARY_PATH"), HasSubstr(packages + "/torch/lib"));
}

TEST(Mindie, VersionOfTheService) {
    const Install install;
    EXPECT_EQ(mindie().version(install.options), "");
    install.folder.file("mindie/latest/mindie-service/version.info", "Ascend-mindie : MindIE 2.0.RC1\nAscend-mindie-service : 2.0.RC1\n");
    EXPECT_EQ(mindie().version(install.options), "MindIE 2.0.RC1");
}

TEST(Mindie, WhatItRefuses) {
    const Install install;
    LaunchInput input = install.input();
    for (const char* name : {"org/tiny", "a:b", "tiny-", "tiny."}) {
        input.name = name;
        EXPECT_EQ(mindie().launch(input).error().param, "name") << name;
    }
    input = install.input();
    input.devices[1].chip = "310P";
    EXPECT_THAT(mindie().launch(input).error().message, HasSubstr("float16"));
    install.folder.file("model/config.json", R"({"torch_dtype":"float16"})");
    EXPECT_TRUE(mindie().launch(input).ok());
    input.work_folder = std::string(300, 'x');
    EXPECT_FALSE(mindie().launch(input).ok()) << "MindIE would ignore so long a path";
    input = install.input();
    input.placement = placed({claim_of("cpu", 0, 1)});
    EXPECT_EQ(mindie().launch(input).error().param, "placement");
    for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
             {"--world-size", "2"}, {"--max-seq-len", "1"}, {"--npu-memory-fraction=0.9"}, {"--https-enabled"}, {"--trust-remote-code"},
             {"--max-batch", "1"}}) {
        EXPECT_EQ(mindie().validate(with_args(install.options, words)).error().param, "options.extra_args[0]") << words[0];
    }
    for (const char* name : {"MIES_CONTAINER_IP", "NPU_MEMORY_FRACTION", "ASCEND_RT_VISIBLE_DEVICES", "RANK_TABLE_FILE",
                             "LD_LIBRARY_PATH"}) {
        EXPECT_FALSE(mindie().validate(with_env(install.options, name)).ok()) << name;
    }
    BackendOptions options = install.options;
    options.kv_type = "fp8";
    EXPECT_EQ(mindie().validate(options).error().param, "options.kv_type");
}

TEST(Mindie, ModelsAndDevices) {
    const struct {
        const char* vendor;
        const char* chip;
        bool refused;
    } cases[] = {{"ascend", "910B", false}, {"ascend", "310P", false}, {"ascend", "910C", false}, {"ascend", "", false},
                 {"ascend", "310B", true},  {"nvidia", "sm_90", true}, {"cpu", "", true}};
    for (const auto& tested : cases) {
        EXPECT_EQ(mindie().refuses_device("linux", "aarch64", device_of(tested.vendor, 0, tested.chip)).has_value(), tested.refused)
            << tested.vendor << " " << tested.chip;
    }
    EXPECT_THAT(mindie().refuses_device("linux", "x86_64", device_of("nvidia", 0))->reason, HasSubstr("Ascend devices only"));
    ModelMeta meta;
    meta.format = "safetensors";
    meta.modality = "text";
    for (const char* known : {"Qwen2ForCausalLM", "Qwen3ForCausalLM", "DeepseekV3ForCausalLM"}) {
        meta.architecture = known;
        EXPECT_FALSE(mindie().refuses_model(meta)) << known;
    }
    meta.architecture = "MambaForCausalLM";
    EXPECT_THAT(mindie().refuses_model(meta)->reason, HasSubstr("MambaForCausalLM"));
    meta.architecture.clear();
    meta.modality = "embedding";
    EXPECT_TRUE(mindie().refuses_model(meta));
    meta.format = "gguf";
    EXPECT_TRUE(mindie().refuses_model(meta));
}

}  // namespace
}  // namespace gantry::backends
