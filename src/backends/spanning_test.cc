// What the parts of an instance on several workers start. Of vLLM, SGLang and MindIE: as their documents say, not tested on hardware.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backends/backends_for_test.h"
#include "base/json.h"

namespace gantry::backends {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

// Of two workers, 10.0.0.1 leading, with two devices each.
LaunchInput part_of_two(const TestFolder& folder, const std::string& program, uint32_t part, const std::string& vendor, double share = 0,
                        uint32_t layers = 0) {
    BackendOptions options;
    options.binary = folder.program("bin/" + program);
    LaunchInput input = launch_input(options);
    input.name = "tiny";
    input.model_path = "/models/qwen";
    const std::vector<DeviceClaim> own{claim_of(vendor, 0, 1, share, layers), claim_of(vendor, 1, 1, share, layers)};
    input.placement = placed(own, 16384);
    input.placement.layers = 4 * layers;
    input.placement.layers_on_devices = 4 * layers;
    input.span = SpanInput{.part = part,
                           .peers = {{.address = "10.0.0.1", .port = 4000, .claims = own, .device_addresses = {"172.16.0.1", "172.16.0.2"}},
                                     {.address = "10.0.0.2", .port = 4001, .claims = own, .device_addresses = {"172.16.1.1", "172.16.1.2"}}}};
    return input;
}

TEST(Spanning, LlamaServerLeads) {
    const TestFolder folder;
    const auto plan = backend(BackendKind::kLlamaServer).launch(part_of_two(folder, "llama-server", 0, "nvidia", 0, 10));
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    EXPECT_EQ(value_after(plan->argv, "--rpc"), "10.0.0.2:4001");
    EXPECT_EQ(value_after(plan->argv, "-ngl"), "999");
    EXPECT_EQ(value_after(plan->argv, "--tensor-split"), "10,10,10,11") << "the others' devices first, the output with the last";
    EXPECT_EQ(value_after(plan->argv, "--host"), "127.0.0.1");
    EXPECT_EQ(plan->env.at("CUDA_VISIBLE_DEVICES"), "0,1");
    EXPECT_EQ(plan->peer_port, 0);
}

TEST(Spanning, LlamaServerLeadsInMemory) {
    const TestFolder folder;
    LaunchInput input = part_of_two(folder, "llama-server", 0, "cpu");
    for (size_t part = 0; part < 2; ++part) input.span->peers[part].claims = {claim_of("cpu", 0, 1, 0, 15)};
    input.placement = placed(input.span->peers[0].claims);
    input.placement.layers = 30;
    input.placement.layers_on_devices = 15;
    const auto plan = backend(BackendKind::kLlamaServer).launch(input);
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    EXPECT_EQ(value_after(plan->argv, "-ngl"), "15");
    EXPECT_THAT(plan->argv, Not(Contains("--device")));
    EXPECT_THAT(plan->argv, Not(Contains("--tensor-split")));
}

TEST(Spanning, GgmlsRpcServerFollows) {
    const TestFolder folder;
    folder.program("bin/ggml-rpc-server");
    LaunchInput input = part_of_two(folder, "llama-server", 1, "nvidia", 0, 10);
    input.options.threads = 6;
    const auto plan = backend(BackendKind::kLlamaServer).launch(input);
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    EXPECT_THAT(plan->argv, ElementsAre(folder.path("bin/ggml-rpc-server"), "-H", "10.0.0.2", "-p", "4001", "-t", "6"));
    EXPECT_EQ(plan->health, HealthCheck::kListens);
    EXPECT_EQ(plan->endpoint, "tcp:10.0.0.2:4001");
    EXPECT_EQ(plan->peer_port, 4001);
    EXPECT_EQ(plan->env.at("CUDA_VISIBLE_DEVICES"), "0,1");
    EXPECT_FALSE(plan->env.contains("LLAMA_API_KEY"));
    input.placement = placed({claim_of("cpu", 0, 1, 0, 5)});
    EXPECT_EQ(value_after(backend(BackendKind::kLlamaServer).launch(input)->argv, "-d"), "CPU");
}

TEST(Spanning, WithoutGgmlsRpcServerItSaysWhatIsMissing) {
    const TestFolder folder;
    const auto plan = backend(BackendKind::kLlamaServer).launch(part_of_two(folder, "llama-server", 1, "nvidia"));
    ASSERT_FALSE(plan.ok());
    EXPECT_EQ(plan.error().reason, "backend_missing");
    EXPECT_THAT(plan.error().message, HasSubstr("GGML_RPC=ON"));
}

TEST(Spanning, Vllm) {
    const TestFolder folder;
    const auto leads = backend(BackendKind::kVllm).launch(part_of_two(folder, "vllm", 0, "nvidia", 0.6));
    ASSERT_TRUE(leads.ok()) << leads.error().message;
    for (const auto& [flag, value] : {std::pair{"--tensor-parallel-size", "2"}, {"--pipeline-parallel-size", "2"}, {"--nnodes", "2"},
                                      {"--node-rank", "0"}, {"--master-addr", "10.0.0.1"}, {"--master-port", "4000"},
                                      {"--distributed-executor-backend", "mp"}, {"--host", "127.0.0.1"}}) {
        EXPECT_EQ(value_after(leads->argv, flag), value) << flag;
    }
    EXPECT_EQ(leads->peer_port, 4000);
    EXPECT_EQ(leads->health_path, "/health");
    EXPECT_EQ(leads->env.at("VLLM_HOST_IP"), "10.0.0.1");
    const auto follows = backend(BackendKind::kVllm).launch(part_of_two(folder, "vllm", 1, "nvidia", 0.6));
    ASSERT_TRUE(follows.ok()) << follows.error().message;
    EXPECT_THAT(follows->argv, Contains("--headless"));
    EXPECT_THAT(follows->argv, Not(Contains("--port")));
    EXPECT_EQ(value_after(follows->argv, "--node-rank"), "1");
    EXPECT_EQ(value_after(follows->argv, "--master-addr"), "10.0.0.1");
    EXPECT_EQ(follows->health, HealthCheck::kLives);
    EXPECT_EQ(follows->endpoint, "");
    EXPECT_EQ(follows->env.at("VLLM_HOST_IP"), "10.0.0.2");
}

TEST(Spanning, Sglang) {
    const TestFolder folder;
    const auto leads = backend(BackendKind::kSglang).launch(part_of_two(folder, "sglang", 0, "nvidia", 0.6));
    const auto follows = backend(BackendKind::kSglang).launch(part_of_two(folder, "sglang", 1, "nvidia", 0.6));
    ASSERT_TRUE(leads.ok() && follows.ok());
    for (const auto& plan : {*leads, *follows}) {
        EXPECT_EQ(value_after(plan.argv, "--tp-size"), "4");
        EXPECT_EQ(value_after(plan.argv, "--nnodes"), "2");
        EXPECT_EQ(value_after(plan.argv, "--dist-init-addr"), "10.0.0.1:4000");
    }
    EXPECT_EQ(value_after(leads->argv, "--node-rank"), "0");
    EXPECT_EQ(value_after(follows->argv, "--node-rank"), "1");
    EXPECT_EQ(leads->peer_port, 4000);
    EXPECT_EQ(follows->health, HealthCheck::kLives);
    EXPECT_TRUE(follows->files.empty()) << "no key: it serves nobody";
}

TEST(Spanning, Mindie) {
    const TestFolder folder;
    LaunchInput input = part_of_two(folder, "mindieservice_daemon", 1, "ascend", 0.5);
    const auto plan = backend(BackendKind::kMindie).launch(input);
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    const auto table = parse_json(plan->files.at("ranktable.json"));
    ASSERT_TRUE(table.ok());
    EXPECT_EQ(json::serialize(*table),
              R"({"version":"1.0","server_count":"2","server_list":[)"
              R"({"server_id":"10.0.0.1","container_ip":"10.0.0.1","device":[)"
              R"({"device_id":"0","device_ip":"172.16.0.1","rank_id":"0"},{"device_id":"1","device_ip":"172.16.0.2","rank_id":"1"}]},)"
              R"({"server_id":"10.0.0.2","container_ip":"10.0.0.2","device":[)"
              R"({"device_id":"0","device_ip":"172.16.1.1","rank_id":"2"},{"device_id":"1","device_ip":"172.16.1.2","rank_id":"3"}]}],)"
              R"("status":"completed"})");
    EXPECT_EQ(plan->env.at("RANK_TABLE_FILE"), "/data/instances/ins_1/ranktable.json");
    EXPECT_EQ(plan->env.at("MIES_CONTAINER_IP"), "10.0.0.2");
    const auto config = parse_json(plan->files.at("config.json"));
    EXPECT_TRUE(config->at_pointer("/BackendConfig/multiNodesInferEnabled").as_bool());
    EXPECT_EQ(config->at_pointer("/BackendConfig/multiNodesInferPort").to_number<int>(), 4000);
    EXPECT_EQ(config->at_pointer("/ServerConfig/ipAddress").as_string(), "10.0.0.2");
    EXPECT_EQ(plan->health, HealthCheck::kLives);
    input.span->peers[0].device_addresses = {"172.16.0.1", ""};
    const auto refused = backend(BackendKind::kMindie).launch(input);
    ASSERT_FALSE(refused.ok());
    EXPECT_THAT(refused.error().message, HasSubstr("ascend/1 of the worker at 10.0.0.1 has no address"));
}

}  // namespace
}  // namespace gantry::backends
