// Which devices a worker's candidates take.
#include "placement/candidates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "placement/fleet_for_test.h"

namespace gantry::placement {
namespace {

// Cards that are all unlike each other, by their names and their room.
Worker unlike(const std::string& name, size_t cards, uint64_t least_gib) {
    std::vector<Device> devices{memory_device(512)};
    for (size_t i = 0; i < cards; ++i) {
        devices.push_back(card("nvidia", static_cast<uint32_t>(i), least_gib + i % 7, "sm_80", fmt::format("card {}", i)));
        devices.back().memory_free_bytes -= i << 20;
    }
    return machine(name, std::move(devices));
}

uint32_t layers_of(const Placement& placement) {
    return std::accumulate(placement.claims.begin(), placement.claims.end(), 0u, [](uint32_t sum, const DeviceClaim& c) { return sum + c.layers; });
}

void expect_within_room(const World& world, const Placement& placement) {
    const Room room(world.snapshot);
    for (const DeviceClaim& claim : placement.claims) {
        EXPECT_LE(claim.bytes, room.of(claim.worker_id, claim.device).allocatable_bytes) << to_string(claim.device);
    }
}

TEST(candidates, of_many_unequal_cards_are_the_fewest_that_do) {
    World world(BackendKind::kLlamaServer, decoder("gguf", 70, 4.8, 80));
    world.snapshot.workers = {unlike("w1", 256, 8)};
    const Decision decision = world.decide();
    ASSERT_TRUE(decision.placement) << decision.reason;
    EXPECT_EQ(layers_of(*decision.placement), 80u);
    EXPECT_EQ(decision.placement->layers_on_devices, 80u);
    expect_within_room(world, *decision.placement);
    World fewer = world;
    fewer.deployment.placement.device_count = decision.placement->ranks - 1;
    fewer.deployment.placement.cpu_offload = false;
    const Decision without_one = fewer.decide(Detail::kDecision);
    EXPECT_TRUE(!without_one.placement || without_one.placement->context_tokens < decision.placement->context_tokens)
        << decision.placement->ranks << " were taken, and one less does as well";
}

TEST(candidates, of_cards_too_small_for_all_layers_have_the_most_on_them) {
    World world(BackendKind::kLlamaServer, decoder("gguf", 70, 4.8, 80));
    world.snapshot.workers = {unlike("w1", 5, 8)};
    const Decision decision = world.decide();
    ASSERT_TRUE(decision.placement) << decision.reason;
    EXPECT_EQ(decision.placement->ranks, 5u) << "each more takes a layer more";
    EXPECT_LT(decision.placement->layers_on_devices, 80u);
    expect_within_room(world, *decision.placement);
}

// With all layers on several cards llama.cpp keeps a graph's inputs four times on each, whether the cards are alike or not.
TEST(candidates, of_unequal_cards_book_the_pipelines_inputs) {
    const World world(BackendKind::kLlamaServer, decoder("gguf", 7.6, 4.8));
    const ModelMeta& meta = world.knowledge.metas.begin()->second;
    const Asked asked{.deployment = world.deployment, .backend = backends::backend(world.deployment.backend), .meta = &meta};
    Needs needs(asked, world.knowledge);
    const Length length{.context_tokens = 32768, .sequences = 1};
    const uint64_t alone = bytes_of_layers("nvidia", needs, 10, length, false), pipelined = bytes_of_layers("nvidia", needs, 10, length, true);
    const uint64_t inputs = 512 * 32768 * 2 + 4 * 512 * 3584;   // the mask, and the rows
    EXPECT_GE(pipelined, alone + 2 * inputs);
    EXPECT_LE(pipelined, alone + 4 * inputs);
}

TEST(candidates, of_several_equal_cards_are_those_that_are_linked) {
    World world(BackendKind::kVllm, decoder("safetensors", 14, 16));
    std::vector<Device> devices{memory_device(256)};
    for (uint32_t i = 0; i < 4; ++i) devices.push_back(card("nvidia", i, 24, "sm_80", "NVIDIA A30"));
    devices[2].links = {{3, "NV4"}, {0, "SYS"}};
    devices[4].links = {{1, "NV4"}, {2, "SYS"}};
    world.snapshot.workers = {machine("w1", std::move(devices))};
    EXPECT_EQ(where(world.decide().placement), "w1: nvidia/1 nvidia/3 cpu/0");
    world.deployment.placement.strategy = PlacementStrategy::kBinpack;
    EXPECT_EQ(where(world.decide().placement), "w1: nvidia/1 nvidia/3 cpu/0");
    for (Device& d : world.snapshot.workers[0].devices) d.links.clear();
    EXPECT_EQ(where(world.decide().placement), "w1: nvidia/2 nvidia/3 cpu/0") << "of equal ones the last, as binpack takes them";
}

TEST(candidates, ranks_get_whole_heads) {
    ModelMeta meta = decoder("safetensors", 7.6, 16);
    meta.heads = 32;   // and 4 KV heads: on 8 ranks each is there twice
    for (const auto& [ranks, passes] : {std::pair{1u, true}, {2u, true}, {3u, false}, {4u, true}, {8u, true}, {64u, false}}) {
        EXPECT_EQ(!refuse_ranks(&meta, false, ranks), passes) << ranks;
    }
    meta.vision_heads = 18;
    EXPECT_NE(refuse_ranks(&meta, false, 4), std::nullopt);
    meta.vision_heads = 0;
    meta.heads = meta.heads_kv = 25;
    EXPECT_NE(refuse_ranks(&meta, false, 5), std::nullopt);   // rows of the vocabulary
    EXPECT_EQ(refuse_ranks(&meta, true, 5), std::nullopt);
    EXPECT_NE(refuse_ranks(&meta, true, 29), std::nullopt);
    EXPECT_EQ(refuse_ranks(nullptr, false, 3), std::nullopt);
}

}  // namespace
}  // namespace gantry::placement
