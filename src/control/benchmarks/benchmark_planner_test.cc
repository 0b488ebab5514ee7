#include "control/benchmarks/benchmark_planner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/workload.h"
#include "control/benchmarks/benchmark_targets.h"
#include "gateway/gateway.h"

namespace gantry::control {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(BenchmarkPlanner, TargetsTakeTurnsAtEachConcurrency) {
    BenchmarkSettings s;
    s.concurrencies = {1, 8};
    EXPECT_THAT(steps_of(s, 2), ElementsAre(BenchmarkStep{0, 0, 0}, BenchmarkStep{0, 0, 1}, BenchmarkStep{1, 0, 0}, BenchmarkStep{1, 0, 1}));
    EXPECT_EQ(requests_of_all(s, 2), 2u * (4 + 32));
    s.duration_seconds = 10;
    EXPECT_EQ(requests_of_all(s, 2), 0u);
    s.kind = BenchmarkKind::kCompare;
    s.concurrencies = {6};
    s.duration_seconds = 0;
    s.rounds = 2;
    EXPECT_THAT(steps_of(s, 2), ElementsAre(BenchmarkStep{0, 0, 0}, BenchmarkStep{0, 0, 1}, BenchmarkStep{0, 1, 1}, BenchmarkStep{0, 1, 0}))
        << "who is first changes from round to round";
}

TEST(BenchmarkPlanner, ALoadIsThatOfGantryBench) {
    BenchmarkSettings s;
    s.concurrencies = {1, 4};
    s.prompt_tokens = 100;
    s.shared_prefix_tokens = 40;
    s.requests = 6;
    s.seed = 9;
    s.ignore_eos = true;
    const auto first = workload_of(s, {0, 0, 0});
    const auto second = workload_of(s, {1, 0, 0});
    ASSERT_TRUE(first && second);
    EXPECT_EQ(first->requests, 6u);
    EXPECT_EQ(second->concurrency, 4u);
    EXPECT_TRUE(second->ignore_eos);
    EXPECT_NE(first->prompts[0], second->prompts[0]) << "no run finds the prompts of another in a cache";
    EXPECT_EQ(first->prompts, workload_of(s, {0, 0, 1})->prompts) << "every target gets the same";
    EXPECT_EQ(first->prompts[1].substr(0, 20), first->prompts[0].substr(0, 20)) << "the shared prefix";
    s.requests = 0;
    s.duration_seconds = 30;
    const auto timed = workload_of(s, {1, 0, 0});
    EXPECT_DOUBLE_EQ(timed->begin_within_s, 30);
    EXPECT_EQ(timed->requests, kBenchmarkRequestsMax);
    s.prompt_tokens = kBenchmarkPromptTokensMax;
    EXPECT_EQ(workload_of(s, {1, 0, 0})->requests, kBenchmarkPromptTokensOfRunMax / kBenchmarkPromptTokensMax);
}

TEST(BenchmarkPlanner, ARoundIsThatOfGantryCompare) {
    BenchmarkSettings s;
    s.kind = BenchmarkKind::kCompare;
    s.concurrencies = {1, 6};
    s.rounds = 3;
    s.seed = 9;
    const auto round = workload_of(s, {1, 2, 0});
    ASSERT_TRUE(round);
    EXPECT_THAT(round->prompts, ElementsAre(bench::compare_prompt(9, 5)));
    EXPECT_EQ(round->requests, 6u);
    EXPECT_EQ(round->seed, 9u + 5 * 512);
}

TEST(BenchmarkPlanner, SaysHowToRepeatIt) {
    Benchmark b;
    b.id = BenchmarkId("bmk_1");
    b.settings.concurrencies = {1, 8};
    b.settings.seed = 5;
    EXPECT_EQ(command_line_of(b), "gantry bench --concurrency 1,8 --prompt-tokens 300 --max-tokens 64 --temperature 0.7 --seed 5 "
                                  "(benchmark bmk_1 of the server)");
    b.settings.kind = BenchmarkKind::kCompare;
    EXPECT_THAT(command_line_of(b), HasSubstr("gantry compare --panels 1,8 --rounds 1"));
}

Snapshot a_view() {
    Snapshot view;
    Worker worker;
    worker.id = WorkerId("w1");
    worker.name = "host-1";
    for (uint32_t i = 0; i < 2; ++i) {
        Device card;
        card.vendor = "ascend";
        card.index = i;
        card.name = "Ascend 910B3";
        worker.devices.push_back(card);
    }
    Device cpu;
    cpu.vendor = "cpu";
    cpu.name = "a cpu";
    worker.devices.push_back(cpu);
    view.workers = {worker};
    Deployment d;
    d.id = DeploymentId("d1");
    d.name = "qwen";
    d.source = "file:/secret/place/m.gguf";
    d.backend = BackendKind::kMindie;
    d.options.context_tokens = 4096;
    d.options.env = {{"TOKEN", "hidden"}};
    view.deployments = {d};
    Instance i;
    i.deployment_id = d.id;
    i.state = InstanceState::kRunning;
    i.placement.claims = {{worker.id, {"ascend", 0}, 1, 0, 0}, {worker.id, {"ascend", 1}, 1, 0, 0}, {worker.id, {"cpu", 0}, 1, 0, 0}};
    view.instances = {i};
    return view;
}

TEST(BenchmarkTargets, TellBackendCardsAndFlags) {
    BenchmarkTarget target;
    target.deployment = "qwen";
    Snapshot view = a_view();
    describe_deployment(view, true, target);
    EXPECT_EQ(target.backend, "mindie");
    EXPECT_EQ(target.cards, 2u);
    EXPECT_EQ(target.devices, "2 x Ascend 910B3 on host-1");
    EXPECT_THAT(target.flags, HasSubstr("context_tokens=4096"));
    EXPECT_EQ(target.flags.find("hidden"), std::string::npos) << "an environment may hold secrets";
    describe_deployment(view, false, target);
    EXPECT_EQ(target.flags.find("/secret/place"), std::string::npos) << "paths are for admins";
    view.instances[0].placement.claims = {{WorkerId("w1"), {"cpu", 0}, 1, 0, 0}};
    describe_deployment(view, true, target);
    EXPECT_EQ(target.devices, "a cpu on host-1");
    EXPECT_EQ(target.cards, 0u);
    BenchmarkTarget none;
    none.deployment = "other";
    describe_deployment(view, true, none);
    EXPECT_EQ(none.backend, "");
}

TEST(BenchmarkTargets, ReadinessSaysWhatToDo) {
    using State = Readiness::State;
    Snapshot view = a_view();
    EXPECT_EQ(readiness_of(view, "qwen").state, State::kReady);
    view.instances[0].state = InstanceState::kStarting;
    EXPECT_EQ(readiness_of(view, "qwen").state, State::kComing);
    EXPECT_THAT(readiness_of(view, "qwen").why, HasSubstr("qwen is starting"));
    view.instances[0].state = InstanceState::kError;
    view.instances[0].reason = "crash loop: exited with status 1: the last line had a prompt in it";
    EXPECT_EQ(readiness_of(view, "qwen").state, State::kNever);
    EXPECT_EQ(readiness_of(view, "qwen").why.find("prompt"), std::string::npos);
    view.deployments[0].stopped = true;
    EXPECT_THAT(readiness_of(view, "qwen").why, HasSubstr("gantry start qwen"));
    EXPECT_EQ(readiness_of(view, "gone").state, State::kNever);
}

TEST(BenchmarkTargets, AreReachedAsTheBenchmarksUser) {
    Benchmark b;
    b.user_id = UserId("usr_1");
    BenchmarkTarget own;
    own.name = own.deployment = own.model = "qwen";
    const auto as_user = reach(b, own, "unix:/run/admin.sock", "");
    ASSERT_TRUE(as_user);
    EXPECT_EQ(as_user->endpoint, "unix:/run/admin.sock");
    EXPECT_EQ(as_user->headers.at(0), std::pair(std::string(gateway::kActsFor), std::string("usr_1")));
    EXPECT_EQ(as_user->url.find("admin.sock"), std::string::npos) << "a path of ours is nobody's business";
    b.key_id = ApiKeyId("key_1");
    EXPECT_EQ(reach(b, own, "unix:/s", "")->headers.at(0).second, "usr_1/key_1");
    BenchmarkTarget outside;
    outside.url = "https://example.org/api";
    outside.model = "m";
    const auto there = reach(b, outside, "unix:/s", "k");
    ASSERT_TRUE(there);
    EXPECT_EQ(there->endpoint, "tls:example.org:443");
    EXPECT_EQ(there->base_path, "/api");
    EXPECT_EQ(there->api_key, "k");
    EXPECT_TRUE(there->headers.empty()) << "who asks here is not told elsewhere";
}

TEST(BenchmarkTargets, ErrorsAreShownWithoutKeysAndAsText) {
    EXPECT_EQ(shown_error("status 401: sk-abc is wrong, sk-abc!", "sk-abc"), "status 401: *** is wrong, ***!");
    EXPECT_EQ(shown_error("plain", ""), "plain");
    EXPECT_LE(shown_error(std::string(5000, 'x'), "").size(), 300u);
    EXPECT_EQ(shown_error("a\x1b[2J\xff", "").find('\x1b'), std::string::npos);
    EXPECT_EQ(shown_error("keykey", "key"), "******");
}

}  // namespace
}  // namespace gantry::control
