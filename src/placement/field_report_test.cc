// The field report's models and cards: what a machine with eight Ascend 910B of 64 GB answers, as its npu-smi was recorded.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "devices/recorded_case_for_test.h"
#include "models/model_reader.h"
#include "placement/fleet_for_test.h"

namespace gantry::placement {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr char kDistilled7B[] = "synthetic-DeepSeek-R1-Distill-Qwen-7B", kDistilled14B[] = "synthetic-DeepSeek-R1-Distill-Qwen-14B",
               kDistilled32B[] = "synthetic-DeepSeek-R1-Distill-Qwen-32B", k14B[] = "Qwen__Qwen3-14B", k32B[] = "Qwen__Qwen3-32B";

ModelMeta model(const std::string& folder) {
    Result<ModelMeta> meta = models::read_model(std::string(GANTRY_SOURCE_DIR) + "/tests/data/models/" + folder);
    EXPECT_TRUE(meta.ok()) << (meta.ok() ? "" : meta.error().message);
    return meta.ok() ? *meta : ModelMeta{};
}

Worker recorded(const std::string& name) {
    devices::RecordedCase tools("ascend/" + name);
    std::vector<Device> found = devices::kAscend.probe(tools).devices;
    found.insert(found.begin(), memory_device(1536));
    Worker w = machine("atlas", std::move(found));
    w.arch = "aarch64";
    return w;
}

// Cards 0..3 run something of somebody else's, 4..7 are idle.
World world(BackendKind backend, const std::string& folder) {
    World made(backend, model(folder));
    made.snapshot.workers = {recorded("910b3-half-busy")};
    return made;
}

std::vector<uint32_t> cards(const Decision& decision) {
    std::vector<uint32_t> used;
    for (const DeviceClaim& c : decision.placement.value_or(Placement{}).claims) {
        if (c.device.vendor == "ascend") used.push_back(c.device.index);
    }
    return used;
}

TEST(field_report, one_card_by_default_two_where_one_does_not_do) {
    struct Case {
        const char* folder;
        size_t cards;
    };
    for (const BackendKind backend : {BackendKind::kVllm, BackendKind::kMindie}) {
        for (const Case& c : {Case{kDistilled7B, 1}, {kDistilled14B, 1}, {kDistilled32B, 2}, {k14B, 1}, {k32B, 2}}) {
            SCOPED_TRACE(std::string(to_string(backend)) + " " + c.folder);
            const World asked = world(backend, c.folder);
            const Decision decision = asked.decide();
            ASSERT_EQ(decision.verdict, Verdict::kFits) << decision.reason;
            EXPECT_EQ(cards(decision).size(), c.cards);
            for (const uint32_t card : cards(decision)) EXPECT_GE(card, 4u);
            const Placement& p = *decision.placement;
            EXPECT_EQ(p.ranks, c.cards);
            EXPECT_GE(p.context_tokens, kContextGood);
            EXPECT_GE(p.sequences, 2u);
            for (const DeviceClaim& claim : p.claims) {
                EXPECT_LE(claim.bytes, (claim.device.vendor == "ascend" ? 64 : 1536) * kGiB);
            }
        }
    }
}

TEST(field_report, two_cards_can_be_forced) {
    for (const BackendKind backend : {BackendKind::kVllm, BackendKind::kMindie}) {
        World forced = world(backend, kDistilled7B);
        forced.deployment.placement.device_count = 2;
        EXPECT_EQ(cards(forced.decide()).size(), 2u);
        forced.deployment.placement.device_count = 0;
        forced.deployment.placement.devices = {"atlas/ascend/5", "atlas/ascend/7"};
        EXPECT_EQ(cards(forced.decide()), (std::vector<uint32_t>{5, 7}));
    }
}

TEST(field_report, a_card_that_others_hold_is_not_taken_and_they_are_named) {
    World asked = world(BackendKind::kMindie, kDistilled7B);
    asked.deployment.placement.devices = {"ascend/0"};
    const Decision decision = asked.decide();
    EXPECT_EQ(decision.verdict, Verdict::kDoesNotFit);
    EXPECT_THAT(decision.reason, AllOf(HasSubstr("ascend/0 has"), HasSubstr("others use"), HasSubstr("pid 49943")));
    const DeviceVerdict& card = decision.workers[0].devices[1];
    EXPECT_EQ(card.rule, "capacity");
    EXPECT_GT(card.needed_bytes, card.allocatable_bytes);
    EXPECT_EQ(card.name, "Ascend 910B3");
}

// While the first runs the second goes to the next card; with no other card it waits, and says for whom.
TEST(field_report, a_second_model_while_the_first_still_runs) {
    World asked = world(BackendKind::kVllm, k14B);
    const Decision first = asked.decide();
    ASSERT_EQ(cards(first).size(), 1u);
    asked.add("first", *first.placement);
    const Decision second = asked.decide();
    ASSERT_EQ(cards(second).size(), 1u);
    EXPECT_NE(cards(second), cards(first));

    World one = world(BackendKind::kVllm, k14B);
    std::vector<Device>& devices = one.snapshot.workers[0].devices;
    devices = {devices[0], devices[5]};
    const Decision alone = one.decide();
    ASSERT_EQ(cards(alone).size(), 1u) << alone.reason;
    one.add("first", *alone.placement);
    const Decision waits = one.decide();
    EXPECT_EQ(waits.verdict, Verdict::kDoesNotFit);
    EXPECT_THAT(waits.reason, HasSubstr("\"first\" holds"));
    const auto stop = std::find_if(waits.suggestions.begin(), waits.suggestions.end(), [](const Suggestion& s) { return s.change == "stop"; });
    ASSERT_NE(stop, waits.suggestions.end());
    EXPECT_EQ(stop->value, "first");
    one.snapshot.instances.front().stopping = true;   // still holds it
    EXPECT_EQ(one.decide().verdict, Verdict::kDoesNotFit);
}

TEST(field_report, the_310p_refuses_vllm) {
    World asked(BackendKind::kVllm, model(kDistilled7B));
    asked.snapshot.workers = {recorded("310p3-in-container")};
    asked.snapshot.workers[0].devices.resize(2);
    asked.snapshot.workers[0].devices[1].problem.clear();
    asked.deployment.placement.device_types = {"310P"};
    const Decision decision = asked.decide();
    EXPECT_EQ(decision.verdict, Verdict::kIncompatible);
    EXPECT_THAT(decision.reason, AllOf(HasSubstr("310P"), HasSubstr("vLLM")));
    EXPECT_EQ(decision.workers[0].devices[1].rule, "backend");
}

}  // namespace
}  // namespace gantry::placement
