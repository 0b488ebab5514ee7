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

// A batch as a fold brings it: 500 records of one hour, of `groups` users.
void add_usage(benchmark::State& state) {
    auto store = filled(folder());
    if (!store) return state.SkipWithError("no store");
    std::vector<UsageRecord> batch(500);
    int64_t number = 0;
    for (auto _ : state) {
        for (UsageRecord& u : batch) {
            u.request_id = std::to_string(++number);
            u.user_id.text = std::to_string(number % state.range(0));
        }
        if (!store->add_usage(batch)) return state.SkipWithError("no write");
    }
}
BENCHMARK(add_usage)->ArgName("groups")->Arg(1)->Arg(500)->UseRealTime()->Unit(benchmark::kMicrosecond);

// A year of 100 groups an hour: 876,000 rows, read as days of models and as one total of users.
void summary_of_a_year(benchmark::State& state) {
    static const std::unique_ptr<Store> store = [] {
        auto made = filled(folder());
        std::vector<UsageRecord> hour(100);
        for (int64_t h = 0; made != nullptr && h < 365 * 24; ++h) {
            for (size_t i = 0; i < hour.size(); ++i) {
                hour[i].request_id = std::to_string(h) + "/" + std::to_string(i);
                hour[i].at = from_unix_ms(h * 3'600'000);
                hour[i].user_id.text = "u" + std::to_string(i % 20);
                hour[i].model = "m" + std::to_string(i % 5);
                hour[i].instance_id.text = "i" + std::to_string(i);
            }
            if (!made->add_usage(hour)) made.reset();
        }
        return made;
    }();
    if (store == nullptr) return state.SkipWithError("no store");
    UsageSummaryRequest request;
    request.limit = 500;
    request.bucket = state.range(0) == 0 ? UsageBucket::kDay : UsageBucket::kTotal;
    request.by = {.user = state.range(0) != 0, .model = state.range(0) == 0};
    if (state.range(0) == 2) request.filter.user.text = "u7";
    for (auto _ : state) {
        if (!store->usage_summary(request)) return state.SkipWithError("no summary");
    }
}
BENCHMARK(summary_of_a_year)->ArgName("query")->DenseRange(0, 2)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace gantry::store
