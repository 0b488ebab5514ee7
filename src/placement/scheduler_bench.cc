// Plan one instance over 1,000 devices; evaluate one model on 200 workers. `./dev bench placement` runs it and writes the report.

#include <benchmark/benchmark.h>

#include "placement/fleet_for_test.h"

namespace gantry::placement {
namespace {

// Every device has its own room, so that nothing is answered from an earlier answer; half of them run something already.
World fleet(BackendKind backend, size_t workers, size_t cards, double billions) {
    const bool gguf = backend == BackendKind::kLlamaServer || backend == BackendKind::kEngine;
    World world(backend, decoder(gguf ? "gguf" : "safetensors", billions, gguf ? 4.8 : 16, 64, 131072));
    for (size_t w = 0; w < workers; ++w) {
        std::vector<Device> devices{memory_device(512)};
        devices[0].memory_free_bytes -= w * 77'000'000;
        for (size_t d = 0; d < cards; ++d) {
            devices.push_back(card("nvidia", static_cast<uint32_t>(d), 80, "sm_80", "NVIDIA A100-SXM4-80GB"));
            devices.back().memory_free_bytes -= (w * cards + d) * 13'000'000;
        }
        world.snapshot.workers.push_back(machine("worker-" + std::to_string(1000 + w), std::move(devices)));
    }
    for (size_t i = 0; i < workers * cards / 2; ++i) {
        const std::string on = "worker-" + std::to_string(1000 + i % workers);
        Placement placement{.claims = {claim(on, "nvidia", static_cast<uint32_t>(i / workers), 20)}};
        Instance instance;
        instance.id = InstanceId("ins_" + std::to_string(i));
        instance.deployment_id = DeploymentId("dep_" + std::to_string(i % 50));
        instance.worker_id = placement.leader();
        instance.placement = std::move(placement);
        world.snapshot.instances.push_back(std::move(instance));
    }
    for (int i = 0; i < 50; ++i) {
        Deployment other;
        other.id = DeploymentId("dep_" + std::to_string(i));
        other.name = "other-" + std::to_string(i);
        world.snapshot.deployments.push_back(other);
    }
    return world;
}

void plan(benchmark::State& state, BackendKind backend, double billions, bool with_room) {
    const World world = fleet(backend, 125, 8, billions);
    const Room room(world.snapshot);
    Decision decision;
    for (auto _ : state) {
        decision = with_room ? decide(world.deployment, world.snapshot, world.knowledge, Room(world.snapshot), Detail::kDecision)
                             : decide(world.deployment, world.snapshot, world.knowledge, room, Detail::kDecision);
        benchmark::DoNotOptimize(decision);
    }
    if (!decision.placement) state.SkipWithError(decision.reason.c_str());
    state.counters["devices"] = 1000;
    state.counters["ranks"] = decision.placement ? decision.placement->ranks : 0;
}
BENCHMARK_CAPTURE(plan, vllm_one_device, BackendKind::kVllm, 7.6, false)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(plan, vllm_one_device_and_room, BackendKind::kVllm, 7.6, true)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(plan, vllm_several_devices, BackendKind::kVllm, 72, false)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(plan, llama_server, BackendKind::kLlamaServer, 7.6, false)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(plan, engine, BackendKind::kEngine, 7.6, false)->Unit(benchmark::kMillisecond);

void plan_nowhere(benchmark::State& state) {
    const World world = fleet(BackendKind::kVllm, 125, 8, 700);
    const Room room(world.snapshot);
    for (auto _ : state) benchmark::DoNotOptimize(decide(world.deployment, world.snapshot, world.knowledge, room, Detail::kDecision));
    state.counters["devices"] = 1000;
}
BENCHMARK(plan_nowhere)->Unit(benchmark::kMillisecond);

void evaluate(benchmark::State& state, BackendKind backend, size_t cards, double billions) {
    const World world = fleet(backend, 200, cards, billions);
    for (auto _ : state) benchmark::DoNotOptimize(world.decide());
    state.counters["workers"] = 200;
    state.counters["devices"] = static_cast<double>(200 * cards);
}
BENCHMARK_CAPTURE(evaluate, vllm_8_cards_each, BackendKind::kVllm, 8, 7.6)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(evaluate, llama_server_2_cards_each, BackendKind::kLlamaServer, 2, 7.6)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(evaluate, engine_no_cards, BackendKind::kEngine, 0, 7.6)->Unit(benchmark::kMillisecond);
// No two cards alike; `billions`: of 700 all layers are on no worker's cards, of 5,000 on those of all.
void evaluate_unequal(benchmark::State& state, BackendKind backend, double billions, bool across_workers) {
    World world = fleet(backend, 8, 256, billions);
    for (Worker& w : world.snapshot.workers) {
        for (Device& d : w.devices) d.name += " " + std::to_string(d.index);
    }
    world.deployment.placement.across_workers = across_workers;
    Decision decision;
    for (auto _ : state) benchmark::DoNotOptimize(decision = world.decide());
    state.SetLabel(decision.reason.substr(0, 120));
    state.counters["workers"] = 8;
    state.counters["devices"] = 2048;
}
BENCHMARK_CAPTURE(evaluate_unequal, one_worker_each, BackendKind::kLlamaServer, 700, false)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(evaluate_unequal, across_workers, BackendKind::kLlamaServer, 700, true)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(evaluate_unequal, nowhere_at_all, BackendKind::kLlamaServer, 500'000, true)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(evaluate_unequal, vllm_across_workers, BackendKind::kVllm, 700, true)->Unit(benchmark::kMillisecond);

// Nothing does, and what would help is tried.
BENCHMARK_CAPTURE(evaluate, vllm_nowhere, BackendKind::kVllm, 8, 700)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace gantry::placement
