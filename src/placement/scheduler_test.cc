#include "placement/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "placement/fleet_for_test.h"

namespace gantry::placement {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr uint32_t kTrained = 32768;

const Suggestion* suggestion(const Decision& decision, const std::string& change) {
    for (const Suggestion& s : decision.suggestions) {
        if (s.change == change) return &s;
    }
    return nullptr;
}

struct Case {
    const char* what;
    std::function<void(World&)> arrange;
    const char* where;
};

void check(const std::vector<Case>& cases, BackendKind backend, const ModelMeta& meta) {
    for (const Case& c : cases) {
        SCOPED_TRACE(c.what);
        World world(backend, meta);
        c.arrange(world);
        const Decision decision = world.decide();
        EXPECT_EQ(where(decision.placement), c.where) << decision.reason;
        EXPECT_FALSE(decision.reason.empty());
        EXPECT_EQ(decision.verdict == Verdict::kFits, decision.placement.has_value());
        EXPECT_EQ(decision.workers.size(), world.snapshot.workers.size());
        EXPECT_EQ(where(world.decide(Detail::kDecision).placement), c.where);
    }
}

TEST(decide, tensor_parallel_backends) {
    check(
        {
            {"one device, the roomiest",
             [](World& w) { w.snapshot.workers = {gpu_machine("w1", {40, 40}), gpu_machine("w2", {80})}; }, "w2: nvidia/0 cpu/0"},
            {"equal: by id and number",
             [](World& w) { w.snapshot.workers = {gpu_machine("w2", {80}), gpu_machine("w1", {80, 80})}; }, "w1: nvidia/0 cpu/0"},
            {"more only where one does not do",
             [](World& w) { w.snapshot.workers = {gpu_machine("w1", {16, 16, 16, 16})}; }, "w1: nvidia/0 nvidia/1 cpu/0"},
            {"one elsewhere before two here",
             [](World& w) { w.snapshot.workers = {gpu_machine("w1", {16, 16}), gpu_machine("w2", {40})}; }, "w2: nvidia/0 cpu/0"},
            {"never unequal ones", [](World& w) { w.snapshot.workers = {gpu_machine("w1", {12, 14})}; }, "nowhere"},
            {"two were asked for",
             [](World& w) {
                 w.snapshot.workers = {gpu_machine("w1", {80, 80, 80})};
                 w.deployment.placement.device_count = 2;
             },
             "w1: nvidia/0 nvidia/1 cpu/0"},
            {"28 heads over three can't be",
             [](World& w) {
                 w.snapshot.workers = {gpu_machine("w1", {80, 80, 80})};
                 w.deployment.placement.device_count = 3;
             },
             "nowhere"},
            {"by hand: exactly those",
             [](World& w) {
                 w.snapshot.workers = {gpu_machine("w1", {80, 80, 80}), gpu_machine("w2", {80, 80, 80})};
                 w.deployment.placement.devices = {"w2/nvidia/2", "w2/nvidia/1"};
             },
             "w2: nvidia/1 nvidia/2 cpu/0"},
            {"by hand: not on one of them where the other is ill",
             [](World& w) {
                 w.snapshot.workers = {gpu_machine("w1", {80, 80})};
                 w.snapshot.workers[0].devices[2].problem = "fallen off the bus";
                 w.deployment.placement.devices = {"w1/nvidia/0", "w1/nvidia/1"};
             },
             "nowhere"},
            {"one part of a shared-out card, never several",
             [](World& w) {
                 w.snapshot.workers = {gpu_machine("w1", {16, 16, 16, 16})};
                 for (size_t i = 1; i <= 4; ++i) w.snapshot.workers[0].devices[i].partition = "GPU-5f3c 1g.10gb";
             },
             "nowhere"},
            {"by hand on any worker",
             [](World& w) {
                 w.snapshot.workers = {gpu_machine("w1", {80}), gpu_machine("w2", {80, 80})};
                 w.deployment.placement.devices = {"nvidia/1"};
             },
             "w2: nvidia/1 cpu/0"},
            {"binpack: the least that does",
             [](World& w) {
                 w.snapshot.workers = {gpu_machine("w1", {80, 40, 24}), gpu_machine("w2", {48})};
                 w.deployment.placement.strategy = PlacementStrategy::kBinpack;
             },
             "w1: nvidia/2 cpu/0"},
            {"what is not healthy is not used",
             [](World& w) {
                 w.snapshot.workers = {gpu_machine("w1", {80, 80})};
                 w.snapshot.workers[0].devices[1].problem = "fallen off the bus";
             },
             "w1: nvidia/1 cpu/0"},
            {"memory alone where there are no accelerators", [](World& w) {
                 w.snapshot.workers = {gpu_machine("w1", {})};
                 w.snapshot.workers[0].devices[0].details = "AVX2, AVX-512";
             }, "w1: cpu/0"},
            {"not where the accelerators are only full", [](World& w) { w.snapshot.workers = {gpu_machine("w1", {8})}; }, "nowhere"},
            {"unless somebody asks for it",
             [](World& w) {
                 w.snapshot.workers = {gpu_machine("w1", {8})};
                 w.deployment.placement.device_types = {"cpu"};
             },
             "w1: cpu/0"},
            {"labels", [](World& w) {
                 w.snapshot.workers = {gpu_machine("w1", {80}), gpu_machine("w2", {40})};
                 w.snapshot.workers[1].labels = {{"room", "lab"}};
                 w.deployment.placement.worker_labels = {{"room", "lab"}};
             }, "w2: nvidia/0 cpu/0"},
            {"cordoned", [](World& w) {
                 w.snapshot.workers = {gpu_machine("w1", {80}), gpu_machine("w2", {40})};
                 w.snapshot.workers[0].cordoned = true;
             }, "w2: nvidia/0 cpu/0"},
            {"replicas apart", [](World& w) {
                 w.snapshot.workers = {gpu_machine("w1", {80, 80}), gpu_machine("w2", {80})};
                 w.add("x", {.claims = {claim("w1", "nvidia", 0, 40)}}).deployment_id = w.deployment.id;
             }, "w2: nvidia/0 cpu/0"},
        },
        BackendKind::kVllm, decoder("safetensors", 7.6, 16));
}

TEST(decide, layers_over_devices_and_memory) {
    check(
        {
            {"one device", [](World& w) { w.snapshot.workers = {gpu_machine("w1", {80, 80})}; }, "w1: nvidia/0 cpu/0"},
            {"unequal ones", [](World& w) { w.snapshot.workers = {gpu_machine("w1", {16, 40})}; }, "w1: nvidia/1 nvidia/0 cpu/0"},
            {"part of it in memory", [](World& w) { w.snapshot.workers = {gpu_machine("w1", {24})}; }, "w1: nvidia/0 cpu/0"},
            {"not where that was forbidden: memory alone", [](World& w) {
                 w.snapshot.workers = {gpu_machine("w1", {24})};
                 w.deployment.placement.cpu_offload = false;
             }, "w1: cpu/0"},
            {"nor where memory does not do", [](World& w) {
                 w.snapshot.workers = {gpu_machine("w1", {24}, 16)};
                 w.deployment.placement.cpu_offload = false;
             }, "nowhere"},
            {"wholly on devices before partly",
             [](World& w) { w.snapshot.workers = {gpu_machine("w1", {40}), gpu_machine("w2", {24, 24, 24})}; },
             "w2: nvidia/0 nvidia/1 cpu/0"},
        },
        BackendKind::kLlamaServer, decoder("gguf", 72, 4.8, 80));
}

TEST(decide, a_split_by_layers_follows_the_room) {
    World world(BackendKind::kLlamaServer, decoder("gguf", 72, 4.8, 80));
    world.snapshot.workers = {gpu_machine("w1", {16, 40})};
    const Placement p = *world.decide().placement;
    ASSERT_EQ(p.claims.size(), 3u);
    EXPECT_EQ(p.claims[0].layers + p.claims[1].layers, 80u);
    EXPECT_GT(p.claims[0].layers, 2 * p.claims[1].layers / 1);
    EXPECT_LE(p.claims[0].bytes, 40 * kGiB);
    EXPECT_LE(p.claims[1].bytes, 16 * kGiB);
    EXPECT_EQ(p.layers_on_devices, 80u);
    world.snapshot.workers = {gpu_machine("w1", {24})};
    const Placement part = *world.decide().placement;
    EXPECT_GT(part.layers_on_devices, 20u);
    EXPECT_LT(part.layers_on_devices, 60u);
    EXPECT_EQ(part.claims[0].layers, part.layers_on_devices);
    EXPECT_GT(part.claims[1].bytes, 15 * kGiB);   // the rest, in memory
}

TEST(decide, the_embedded_engine_of_this_build_computes_in_memory) {
    World world(BackendKind::kEngine, decoder("gguf", 7.6, 4.8));
    world.snapshot.workers = {gpu_machine("w1", {80})};
    const Decision decision = world.decide();
    EXPECT_EQ(where(decision.placement), "w1: cpu/0");
    EXPECT_EQ(decision.workers[0].devices[1].rule, "backend");
    EXPECT_THAT(decision.workers[0].devices[1].reason, HasSubstr("this build of gantry"));
    EXPECT_EQ(decision.placement->context_tokens, kTrained);
    EXPECT_EQ(decision.placement->ranks, 1u);
    EXPECT_EQ(decision.placement->layers_on_devices, 0u);
    EXPECT_GT(decision.placement->kv_bytes, 0u);
    EXPECT_EQ(decision.placement->estimate_bytes, decision.estimate.total());
}

TEST(decide, context_is_cut_so_that_a_second_sequence_would_fit) {
    World world(BackendKind::kEngine, decoder("gguf", 7.6, 4.8));
    world.snapshot.workers = {gpu_machine("w1", {}, 8)};
    const Decision cut = world.decide();
    ASSERT_EQ(cut.verdict, Verdict::kFits) << cut.reason;
    const uint32_t context = cut.placement->context_tokens;
    EXPECT_LT(context, kTrained);
    EXPECT_GE(context, kContextMin);
    EXPECT_EQ(context % 256, 0u);
    // What was chosen can be asked for; more than the second sequence leaves can't.
    world.deployment.options.context_tokens = context;
    EXPECT_EQ(world.decide().verdict, Verdict::kFits);
    world.deployment.options.context_tokens = 10 * context;
    const Decision never = world.decide();
    EXPECT_EQ(never.verdict, Verdict::kDoesNotFit);
    const Suggestion* shorter = suggestion(never, "context_tokens");
    ASSERT_NE(shorter, nullptr);
    EXPECT_EQ(shorter->value, std::to_string(context));
    const DeviceVerdict& memory = never.workers[0].devices[0];
    EXPECT_EQ(memory.rule, "capacity");
    EXPECT_GT(memory.needed_bytes, memory.allocatable_bytes);
    EXPECT_GT(never.estimate.total(), 0u);
}

TEST(decide, vllm_gets_its_part_of_the_device_and_room_for_several_sequences) {
    World world;
    world.snapshot.workers = {gpu_machine("w1", {80})};
    const Placement p = *world.decide().placement;
    EXPECT_EQ(p.context_tokens, kTrained);
    EXPECT_EQ(p.sequences, std::min(kSequencesWanted, kTokensWanted / kTrained));
    const DeviceClaim& gpu = p.claims.front();
    EXPECT_GT(gpu.memory_fraction, 0.25);
    EXPECT_LT(gpu.memory_fraction, 0.6);   // not 0.9 of it
    EXPECT_NEAR(static_cast<double>(gpu.bytes), gpu.memory_fraction * 80 * kGiB, kGiB / 100.0);
    // Full, but for a little: two sequences, and no more than there is.
    world.snapshot.workers = {gpu_machine("w1", {22})};
    const Placement tight = *world.decide().placement;
    EXPECT_GE(tight.sequences, 2u);
    EXPECT_LE(tight.claims.front().bytes, 22 * kGiB - Room::kReserveDevice);
    world.deployment.options.max_sequences = 64;
    world.deployment.options.context_tokens = kTrained;
    EXPECT_EQ(world.decide().verdict, Verdict::kDoesNotFit);
    EXPECT_NE(suggestion(world.decide(), "max_sequences"), nullptr);
}

TEST(decide, small_models_share_a_device) {
    World world(BackendKind::kVllm, decoder("safetensors", 0.5, 16, 24, 8192));
    world.snapshot.workers = {gpu_machine("w1", {80})};
    Room room(world.snapshot);
    int placed = 0;
    while (placed < 20) {
        const Decision decision = decide(world.deployment, world.snapshot, world.knowledge, room, Detail::kDecision);
        if (!decision.placement) break;
        room.book(*decision.placement);
        ++placed;
    }
    EXPECT_GE(placed, 5);
    EXPECT_LT(placed, 20);
}

TEST(decide, says_who_has_the_room_and_what_would_free_it) {
    World world;
    world.snapshot.workers = {gpu_machine("w1", {40})};
    world.add("small", {.claims = {claim("w1", "nvidia", 0, 6)}});
    world.add("first", {.claims = {claim("w1", "nvidia", 0, 20)}});
    add_foreign(world.snapshot.workers[0].devices[1], 4242, "python3", 8);
    const Decision decision = world.decide();
    EXPECT_EQ(decision.verdict, Verdict::kDoesNotFit);
    EXPECT_THAT(decision.reason, AllOf(HasSubstr("w1: nvidia/0 has"), HasSubstr("\"first\" holds 20.0 GiB")));
    EXPECT_THAT(decision.reason, HasSubstr("python3 (pid 4242) 8.0 GiB"));
    EXPECT_EQ(world.decide(Detail::kDecision).reason, decision.reason);
    EXPECT_EQ(decision.workers[0].devices[1].rule, "capacity");
    const Suggestion* stop = suggestion(decision, "stop");
    ASSERT_NE(stop, nullptr);
    EXPECT_EQ(stop->value, "first");
    const Suggestion* smaller = suggestion(decision, "quantization");
    EXPECT_EQ(smaller, nullptr);   // 5 GiB are left: not even 4 bits
}

TEST(decide, suggestions_are_true) {
    World world(BackendKind::kLlamaServer, decoder("gguf", 72, 16, 80));
    world.snapshot.workers = {gpu_machine("w1", {40, 40}, 32)};
    world.deployment.placement.cpu_offload = false;
    const Decision decision = world.decide();
    ASSERT_EQ(decision.verdict, Verdict::kDoesNotFit);
    const Suggestion* smaller = suggestion(decision, "quantization");
    ASSERT_NE(smaller, nullptr);
    EXPECT_EQ(smaller->value, "Q8_0");
    world.snapshot.workers = {gpu_machine("w1", {30, 30}, 32)};
    world.deployment.placement.device_count = 1;
    world.meta() = decoder("gguf", 72, 4.8, 80);
    const Decision forced = world.decide();
    ASSERT_EQ(forced.verdict, Verdict::kDoesNotFit);
    ASSERT_NE(suggestion(forced, "device_count"), nullptr);
    EXPECT_EQ(suggestion(forced, "device_count")->value, "2");
    ASSERT_NE(suggestion(forced, "cpu_offload"), nullptr);
    world.deployment.placement.device_count = 0;
    world.deployment.placement.device_types = {"amd"};
    const Decision typed = world.decide();
    ASSERT_EQ(typed.verdict, Verdict::kDoesNotFit);
    ASSERT_NE(suggestion(typed, "device_types"), nullptr);
    EXPECT_EQ(suggestion(typed, "device_types")->value, "nvidia");
}

TEST(decide, what_does_not_go_together_is_incompatible) {
    World world(BackendKind::kMindie, decoder("gguf", 7.6, 4.8));
    world.snapshot.workers = {machine("w1", {memory_device(64), card("ascend", 0, 64, "910B")})};
    const Decision format = world.decide();
    EXPECT_EQ(format.verdict, Verdict::kIncompatible);
    EXPECT_THAT(format.reason, HasSubstr("GGUF"));
    EXPECT_EQ(format.workers[0].rule, "model");
    EXPECT_EQ(format.workers[0].devices.size(), 2u);
    ASSERT_NE(suggestion(format, "backend"), nullptr);
    EXPECT_EQ(suggestion(format, "backend")->value, "engine");
    World chip(BackendKind::kVllm);
    chip.snapshot.workers = {machine("w1", {memory_device(64), card("ascend", 0, 24, "310P")}), gpu_machine("w2", {80})};
    chip.deployment.placement.device_types = {"310P"};
    EXPECT_EQ(chip.decide().verdict, Verdict::kIncompatible);
    EXPECT_THAT(chip.decide().reason, HasSubstr("vLLM does not run on Ascend 310P"));
    EXPECT_EQ(chip.decide().workers[0].devices[1].rule, "backend");
    chip.deployment.placement.device_types = {"nvidia"};
    EXPECT_EQ(where(chip.decide().placement), "w2: nvidia/0 cpu/0");
}

TEST(decide, hand_made_mistakes_are_told) {
    World world;
    world.snapshot.workers = {gpu_machine("w1", {80})};
    for (const auto& [text, reason] : {std::pair{"nvidia/7", "there is no device \"nvidia/7\"; there are: w1/cpu/0, w1/nvidia/0"},
                                       {"w9/nvidia/0", "there is no device \"w9/nvidia/0\""},
                                       {"nonsense", "\"nonsense\" is no device"}}) {
        world.deployment.placement.devices = {text};
        const Decision decision = world.decide();
        EXPECT_EQ(decision.verdict, Verdict::kDoesNotFit);
        EXPECT_THAT(decision.reason, HasSubstr(reason));
        EXPECT_NE(suggestion(decision, "devices"), nullptr);
        EXPECT_EQ(decision.workers.size(), 1u);
    }
}

TEST(decide, an_unknown_need_is_placed_and_said) {
    World world(BackendKind::kEngine);
    world.snapshot.workers = {gpu_machine("w1", {}, 16), gpu_machine("w2", {}, 64)};
    world.knowledge.metas.clear();
    world.knowledge.meta_problems[world.deployment.source] = "no such file: /models/new";
    const Decision unread = world.decide();
    EXPECT_EQ(unread.verdict, Verdict::kUnknown);
    EXPECT_EQ(where(unread.placement), "w2: cpu/0");
    EXPECT_THAT(unread.reason, AllOf(HasSubstr("its need is unknown"), HasSubstr("/models/new"), HasSubstr("nothing is booked")));
    EXPECT_EQ(unread.placement->context_tokens, 0u);
    EXPECT_EQ(unread.placement->claims[0].bytes, 0u);

    // Known in part: that is booked.
    ModelMeta part = decoder("gguf", 7.6, 4.8);
    part.heads_kv = part.key_length = part.value_length = 0;
    world.knowledge.metas[world.deployment.source] = part;
    const Decision some = world.decide();
    EXPECT_EQ(some.verdict, Verdict::kUnknown);
    EXPECT_GT(some.placement->claims[0].bytes, 4 * kGiB);
    EXPECT_FALSE(some.estimate.unknown.empty());

    World custom(BackendKind::kCustom);
    custom.snapshot.workers = {gpu_machine("w1", {40, 80}), gpu_machine("w2", {})};
    EXPECT_EQ(custom.decide().verdict, Verdict::kUnknown);
    EXPECT_EQ(where(custom.decide().placement), "w1: nvidia/1");
    custom.deployment.placement.devices = {"cpu/0"};
    EXPECT_THAT(where(custom.decide().placement), HasSubstr("cpu/0"));
    custom.deployment.placement.devices = {};
    custom.deployment.placement.device_count = 2;
    EXPECT_EQ(where(custom.decide().placement), "nowhere") << "of unequal size";
    custom.snapshot.workers = {gpu_machine("w1", {80, 80}), gpu_machine("w2", {})};
    EXPECT_EQ(where(custom.decide().placement), "w1: nvidia/0 nvidia/1");
}

TEST(decide, nowhere_to_go) {
    World world;
    EXPECT_EQ(world.decide().reason, "no worker is there to run it: start one, or the server without --no-worker");
    for (int i = 0; i < 10; ++i) {
        world.snapshot.workers.push_back(gpu_machine("w" + std::to_string(i), {80}));
        world.snapshot.workers.back().state = WorkerState::kUnreachable;
    }
    const Decision decision = world.decide();
    EXPECT_EQ(decision.verdict, Verdict::kDoesNotFit);
    EXPECT_THAT(decision.reason, AllOf(HasSubstr("w0 is unreachable since"), testing::EndsWith("and 6 more")));
    EXPECT_EQ(decision.workers[9].rule, "ready");
    EXPECT_EQ(decision.workers[9].devices.size(), 2u);
}

TEST(decide, measured_runs_correct_what_is_booked) {
    World world(BackendKind::kEngine, decoder("gguf", 7.6, 4.8));
    world.deployment.options.context_tokens = 4096;
    world.snapshot.workers = {gpu_machine("w1", {})};
    const uint64_t plain = world.decide().placement->claims[0].bytes;
    for (int i = 0; i < 4; ++i) {
        MeasuredRun run;
        run.architecture = "qwen2";
        run.source = "file:/models/other-" + std::to_string(i);
        run.estimate_bytes = 10 * kGiB;
        run.peak_bytes = 12 * kGiB;
        world.knowledge.runs.push_back(run);
    }
    const Decision decision = world.decide();
    EXPECT_NEAR(static_cast<double>(decision.placement->claims[0].bytes), 1.2 * static_cast<double>(plain), 1e6);
    EXPECT_NEAR(decision.correction.factor, 1.2, 1e-9);
    EXPECT_LT(decision.placement->estimate_bytes, decision.placement->claims[0].bytes);
}

}  // namespace
}  // namespace gantry::placement
