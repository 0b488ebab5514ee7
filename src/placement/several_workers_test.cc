// One instance on devices of several workers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "placement/candidates.h"
#include "placement/fleet_for_test.h"

namespace gantry::placement {
namespace {

using testing::HasSubstr;

void expect_within_room(const World& world, const Placement& placement) {
    const Room room(world.snapshot);
    for (const DeviceClaim& claim : placement.claims) {
        EXPECT_LE(claim.bytes, room.of(claim.worker_id, claim.device).allocatable_bytes) << to_string(claim.device);
        EXPECT_GT(claim.bytes, 0u);
    }
}

uint32_t layers_of(const Placement& placement) {
    return std::accumulate(placement.claims.begin(), placement.claims.end(), 0u, [](uint32_t sum, const DeviceClaim& c) { return sum + c.layers; });
}

TEST(several_workers, of_vllm_each_is_a_stage_with_as_many_equal_cards) {
    World world(BackendKind::kVllm, decoder("safetensors", 32, 16, 64));
    world.deployment.placement.across_workers = true;
    world.snapshot.workers = {gpu_machine("w1", {24, 24}), gpu_machine("w2", {24, 24}), gpu_machine("w3", {40})};
    const Decision decision = world.decide();
    ASSERT_TRUE(decision.placement) << decision.reason;
    EXPECT_EQ(where(decision.placement), "w1: nvidia/0 nvidia/1; w2: nvidia/0 nvidia/1; w1: cpu/0; w2: cpu/0");
    EXPECT_EQ(decision.placement->ranks, 4u);
    EXPECT_EQ(decision.placement->leader(), WorkerId("wrk_w1"));
    EXPECT_THAT(decision.reason, HasSubstr("2 workers together, a stage of a pipeline each"));
    expect_within_room(world, *decision.placement);
    world.deployment.placement.across_workers = false;
    const Decision alone = world.decide();
    EXPECT_FALSE(alone.placement);
    EXPECT_TRUE(std::any_of(alone.suggestions.begin(), alone.suggestions.end(), [](const Suggestion& s) {
        return s.change == "across_workers" && s.text == "devices of 2 workers together";
    })) << "what would help is said";
}

TEST(several_workers, only_where_one_does_not_do) {
    World world(BackendKind::kVllm);
    world.deployment.placement.across_workers = true;
    world.snapshot.workers = {gpu_machine("w1", {80}), gpu_machine("w2", {80})};
    EXPECT_EQ(world.decide().placement->workers().size(), 1u);
    world.deployment.placement.device_count = 2;
    EXPECT_EQ(world.decide().placement->workers().size(), 2u) << "no worker has two";
}

TEST(several_workers, not_behind_a_nat) {
    World world(BackendKind::kVllm, decoder("safetensors", 32, 16, 64));
    world.deployment.placement.across_workers = true;
    world.snapshot.workers = {gpu_machine("w1", {24, 24}), gpu_machine("w2", {24, 24})};
    world.snapshot.workers[1].data_address.clear();
    const Decision decision = world.decide();
    EXPECT_FALSE(decision.placement);
    EXPECT_THAT(decision.workers[1].reason, HasSubstr("--data-address"));
}

TEST(several_workers, not_by_a_backend_that_cannot) {
    World world(BackendKind::kEngine, decoder("gguf", 70, 4.8, 80));
    world.deployment.placement.across_workers = true;
    world.snapshot.workers = {machine("w1", {memory_device(32)}), machine("w2", {memory_device(32)})};
    const Decision decision = world.decide();
    EXPECT_FALSE(decision.placement);
    EXPECT_THAT(decision.reason, HasSubstr("engine runs an instance on one worker alone"));
}

TEST(several_workers, of_llama_cpp_memory_gets_layers_by_its_room) {
    World world(BackendKind::kLlamaServer, decoder("gguf", 70, 4.8, 80));
    world.deployment.placement.across_workers = true;
    world.snapshot.workers = {machine("w1", {memory_device(32)}), machine("w2", {memory_device(48)}), machine("w3", {memory_device(16)})};
    const Decision decision = world.decide();
    ASSERT_TRUE(decision.placement) << decision.reason;
    EXPECT_EQ(decision.placement->leader(), WorkerId("wrk_w2")) << "the roomiest leads";
    EXPECT_EQ(layers_of(*decision.placement), 80u);
    EXPECT_EQ(decision.placement->layers_on_devices, 80u - decision.placement->claims[0].layers);
    EXPECT_GT(decision.placement->claims[0].layers, decision.placement->claims[1].layers);
    expect_within_room(world, *decision.placement);
}

TEST(several_workers, by_hand_the_first_leads_and_exactly_those_are_used) {
    World world(BackendKind::kLlamaServer, decoder("gguf", 1, 4.8, 24));
    world.deployment.placement.across_workers = true;
    world.deployment.placement.devices = {"w3/cpu/0", "w1/cpu/0"};
    world.snapshot.workers = {machine("w1", {memory_device(32)}), machine("w2", {memory_device(64)}), machine("w3", {memory_device(32)})};
    const Decision decision = world.decide();
    ASSERT_TRUE(decision.placement) << decision.reason;
    EXPECT_EQ(where(decision.placement), "w3: cpu/0; w1: cpu/0");
    EXPECT_EQ(layers_of(*decision.placement), 24u);
}

TEST(several_workers, of_llama_cpp_cards_and_memory_of_both_count) {
    World world(BackendKind::kLlamaServer, decoder("gguf", 70, 4.8, 80));
    world.deployment.placement.across_workers = true;
    world.deployment.placement.cpu_offload = false;
    world.deployment.placement.device_types = {"nvidia"};
    world.snapshot.workers = {gpu_machine("w1", {24}), gpu_machine("w2", {24, 16})};
    const Decision decision = world.decide();
    ASSERT_TRUE(decision.placement) << decision.reason;
    EXPECT_EQ(decision.placement->leader(), WorkerId("wrk_w2"));
    EXPECT_EQ(layers_of(*decision.placement), 80u);
    EXPECT_EQ(decision.placement->layers_on_devices, 80u);
    EXPECT_EQ(decision.placement->claims.back().device.vendor, "cpu") << "what stays in memory beside the devices is booked, too";
    expect_within_room(world, *decision.placement);
}

// Two thousand cards that are all unlike: how long a decision takes is bounded by what is tried, and not by their number.
TEST(several_workers, of_very_many_unequal_cards) {
    World world(BackendKind::kLlamaServer, decoder("gguf", 200, 4.8, 120));
    world.deployment.placement.across_workers = true;
    world.deployment.placement.cpu_offload = false;
    for (uint32_t w = 0; w < 8; ++w) {
        std::vector<Device> devices{memory_device(512)};
        for (uint32_t i = 0; i < 255; ++i) {
            devices.push_back(card("nvidia", i, 8 + i % 7, "sm_80", fmt::format("card {} {}", w, i)));
            devices.back().memory_free_bytes -= (w * 256 + i) << 18;
        }
        world.snapshot.workers.push_back(machine(fmt::format("w{}", w), std::move(devices)));
    }
    const Decision one = world.decide();
    ASSERT_TRUE(one.placement) << one.reason;
    EXPECT_EQ(one.placement->workers().size(), 1u);
    world.deployment.placement.devices = {"w5/nvidia/6", "w2/nvidia/6", "w2/nvidia/13", "w7/nvidia/20"};
    EXPECT_FALSE(world.decide().placement) << "four are too few";
    world.deployment.placement.devices.clear();
    for (uint32_t i = 0; i < 120; ++i) world.deployment.placement.devices.push_back(fmt::format("w{}/nvidia/{}", i % 8, 6 + 7 * (i / 8)));
    const Decision many = world.decide();
    ASSERT_TRUE(many.placement) << many.reason;
    EXPECT_EQ(many.placement->workers().size(), 8u);
    EXPECT_EQ(layers_of(*many.placement), 120u);
    expect_within_room(world, *many.placement);
    world.deployment.placement.devices.clear();
    world.meta() = decoder("gguf", 9000, 4.8, 120);   // nowhere, with all that would help tried
    EXPECT_FALSE(world.decide().placement);
}

TEST(several_workers, of_mindie_tensors_are_cut_over_all) {
    World world(BackendKind::kMindie, decoder("safetensors", 70, 16, 80));
    world.meta().heads = 64;
    world.meta().heads_kv = 8;
    world.deployment.placement.across_workers = true;
    std::vector<Device> cards{memory_device(512)};
    for (uint32_t i = 0; i < 2; ++i) cards.push_back(card("ascend", i, 64, "910B", "Ascend 910B3"));
    world.snapshot.workers = {machine("w1", cards), machine("w2", cards)};
    const Decision decision = world.decide();
    ASSERT_TRUE(decision.placement) << decision.reason;
    EXPECT_EQ(decision.placement->ranks, 4u);
    expect_within_room(world, *decision.placement);
    world.meta().heads = 6;   // not to be cut in four
    EXPECT_FALSE(world.decide().placement);
}

}  // namespace
}  // namespace gantry::placement
