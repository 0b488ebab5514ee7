// How long a start on an existing data folder takes, and a durable write, an observing write, a snapshot. On the disk of the
// working folder (TMPDIR otherwise), since the fsync is what is measured.

#include <benchmark/benchmark.h>

#include <filesystem>

#include "base/log.h"
#include "store/store.h"

namespace gantry::store {
namespace {

std::string folder() {
    log::start({.level = log::Level::kError, .file = {}, .to_stderr = true});
    const auto path = std::filesystem::temp_directory_path() / "gantry-store-bench";
    std::filesystem::remove_all(path);
    return path.string();
}

std::unique_ptr<Store> filled(const std::string& path) {
    auto store = Store::open(path);
    if (!store) return nullptr;
    Deployment d;
    for (int i = 0; i < 50; ++i) {
        d.id.text = d.name = "d" + std::to_string(i);
        if (!(*store)->create_deployment(d)) return nullptr;
        Instance instance;
        instance.id.text = "i" + std::to_string(i);
        instance.deployment_id = d.id;
        if (!(*store)->create_instance(instance)) return nullptr;
    }
    return std::move(*store);
}

void open_existing(benchmark::State& state) {
    const std::string path = folder();
    if (auto store = filled(path); !store || !store->close()) return state.SkipWithError("no store");
    for (auto _ : state) {
        auto store = Store::open(path);
        if (!store) return state.SkipWithError("no store");
        state.PauseTiming();
        if (state.range(0) == 0) (void)(*store)->close();
        store->reset();
        state.ResumeTiming();
    }
}
BENCHMARK(open_existing)->ArgName("unclean")->Arg(0)->Arg(1)->UseRealTime()->Unit(benchmark::kMillisecond);

void durable_write(benchmark::State& state) {
    auto store = filled(folder());
    if (!store) return state.SkipWithError("no store");
    int64_t i = 0;
    for (auto _ : state) {
        if (!store->set_setting("n", std::to_string(++i))) return state.SkipWithError("no write");
    }
}
BENCHMARK(durable_write)->UseRealTime()->Unit(benchmark::kMicrosecond);

void observing_write(benchmark::State& state) {
    auto store = filled(folder());
    if (!store) return state.SkipWithError("no store");
    std::vector<Instance> instances = store->snapshot()->instances;
    for (auto _ : state) {
        for (Instance& instance : instances) ++instance.memory_bytes;
        if (!store->observe_instances(instances)) return state.SkipWithError("no write");
    }
}
BENCHMARK(observing_write)->UseRealTime()->Unit(benchmark::kMicrosecond);

void snapshot(benchmark::State& state) {
    auto store = filled(folder());
    if (!store) return state.SkipWithError("no store");
    for (auto _ : state) benchmark::DoNotOptimize(store->snapshot());
}
BENCHMARK(snapshot)->UseRealTime()->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace gantry::store
