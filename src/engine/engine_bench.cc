// Six sequences of 334 prompt tokens and 64 generated ones on the real model: equal prompts, then different ones.
// GANTRY_TEST_MODEL names another model; GANTRY_BENCH_THREADS the threads.
#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdlib>
#include <future>
#include <mutex>
#include <random>

#include "engine/batch_planner.h"
#include "engine/engine.h"
#include "engine/llama_runner.h"
#include "engine/sampler.h"

namespace gantry::engine {
namespace {

std::string model_path() {
    const char* path = std::getenv("GANTRY_TEST_MODEL");
    return path ? path : std::string(std::getenv("HOME")) + "/.cache/gantry/models/llm/SmolLM2-135M-Instruct.Q4_1.gguf";
}

std::unique_ptr<LlamaRunner> load() {
    LlamaOptions options;
    options.model_path = model_path();
    if (const char* threads = std::getenv("GANTRY_BENCH_THREADS")) {
        options.threads = static_cast<uint32_t>(std::atoi(threads));
    }
    auto runner = LlamaRunner::load(options);
    return runner ? std::move(runner).value() : nullptr;
}

double ms_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

void load_model(benchmark::State& state) {
    for (auto _ : state) {
        auto runner = load();
        if (!runner) {
            state.SkipWithError("the model does not load");
            return;
        }
    }
}
BENCHMARK(load_model)->Unit(benchmark::kMillisecond)->UseRealTime()->Iterations(3);

// One token of a vocabulary of state.range(0), by the kind of request. The counts are those of a prompt of 334 tokens and some answer.
// `allowed_percent`: of the tokens, in runs of 64 as a grammar's are; 100: no mask.
void sample_row(benchmark::State& state, SamplingParams params, uint32_t allowed_percent) {
    std::mt19937_64 random(1);
    std::normal_distribution<float> normal(0, 3);
    std::vector<float> row(static_cast<size_t>(state.range(0)));
    for (float& x : row) {
        x = normal(random);
    }
    Sampler sampler;
    TokenCounts counts;
    for (int i = 0; i < 400; ++i) {
        counts[static_cast<TokenId>(random() % row.size())] += i < 334 ? 0 : 1;
    }
    std::vector<uint32_t> allowed(allowed_percent < 100 ? row.size() / 32 : 0, 0);
    for (size_t i = 0; i + 1 < allowed.size(); i += 2) {
        allowed[i] = allowed[i + 1] = random() % 100 < allowed_percent ? ~0u : 0u;
    }
    uint32_t index = 0;
    for (auto _ : state) {
        auto drawn = sampler.sample(
            SampleInput{.logits = row, .params = params, .counts = counts, .index = index++, .end_tokens = {}, .allowed = allowed});
        benchmark::DoNotOptimize(drawn);
    }
}
#define GANTRY_SAMPLE_BENCH(name, ...) GANTRY_MASK_BENCH(name, 100, __VA_ARGS__)
#define GANTRY_MASK_BENCH(name, percent, ...) \
    BENCHMARK_CAPTURE(sample_row, name, SamplingParams{__VA_ARGS__}, percent)->Unit(benchmark::kMicrosecond)->Arg(49152)->Arg(151936)
GANTRY_SAMPLE_BENCH(greedy, .temperature = 0);
GANTRY_SAMPLE_BENCH(temperature, .temperature = 0.7f);
GANTRY_SAMPLE_BENCH(top_k_top_p, .temperature = 0.7f, .top_p = 0.9f, .top_k = 40);
GANTRY_SAMPLE_BENCH(top_k_top_p_penalties, .temperature = 0.7f, .top_p = 0.9f, .top_k = 40, .presence_penalty = 0.5f,
                    .repetition_penalty = 1.1f);
GANTRY_SAMPLE_BENCH(top_p, .temperature = 0.7f, .top_p = 0.95f);
GANTRY_MASK_BENCH(mask_1, 1, .temperature = 0.7f);
GANTRY_MASK_BENCH(mask_90, 90, .temperature = 0.7f);
GANTRY_MASK_BENCH(mask_90_greedy, 90, .temperature = 0);
GANTRY_SAMPLE_BENCH(logprobs, .temperature = 0.7f, .logprobs = true, .top_logprobs = 20);

// The kernels' versions, by their place in runnable_kernels(): temperature only, and a short top-k, of 151,936 tokens.
void sample_by_kernels(benchmark::State& state) {
    const auto kernels = runnable_kernels();
    if (static_cast<size_t>(state.range(0)) >= kernels.size()) {
        state.SkipWithError("this CPU does not run it");
        return;
    }
    std::mt19937_64 random(1);
    std::normal_distribution<float> normal(0, 3);
    std::vector<float> row(151936);
    for (float& x : row) {
        x = normal(random);
    }
    state.SetLabel(kernels[static_cast<size_t>(state.range(0))]->name);
    Sampler sampler(*kernels[static_cast<size_t>(state.range(0))]);
    const SamplingParams params{.temperature = 0.7f, .top_k = static_cast<int32_t>(state.range(1))};
    uint32_t index = 0;
    for (auto _ : state) {
        auto drawn = sampler.sample(SampleInput{.logits = row, .params = params, .counts = {}, .index = index++, .end_tokens = {}});
        benchmark::DoNotOptimize(drawn);
    }
}
BENCHMARK(sample_by_kernels)->Unit(benchmark::kMicrosecond)->ArgsProduct({{0, 1, 2}, {0, 40}});

// What a step costs on the real model, by its shape: rows of streams, each with logits, and a chunk of a prompt without.
void forward_step(benchmark::State& state) {
    const auto streams = static_cast<Slot>(state.range(0));
    const auto chunk = static_cast<int32_t>(state.range(1));
    static const std::unique_ptr<LlamaRunner> runner = load();
    if (!runner) {
        state.SkipWithError("the model does not load");
        return;
    }
    constexpr int32_t kLength = 64;   // of each stream so far
    for (Slot slot = 0; slot <= streams; ++slot) {
        runner->truncate(slot, 0);
        Batch prompt;
        for (int32_t i = 0; i < kLength && slot < streams; ++i) {
            prompt.push_back({.token = 1000 + i, .position = i, .slot = slot});
        }
        (void)runner->forward(prompt);
    }
    Batch batch;
    for (Slot slot = 0; slot < streams; ++slot) {
        batch.push_back({.token = 1000, .position = kLength, .slot = slot, .wants_logits = true});
    }
    for (int32_t i = 0; i < chunk; ++i) {
        batch.push_back({.token = 1000 + i, .position = i, .slot = streams});
    }
    double least_ms = 1e9;
    for (auto _ : state) {
        const auto start = std::chrono::steady_clock::now();
        benchmark::DoNotOptimize(runner->forward(batch));
        least_ms = std::min(least_ms, ms_since(start));
        state.PauseTiming();
        for (Slot slot = 0; slot <= streams; ++slot) {
            runner->truncate(slot, slot < streams ? kLength : 0);
        }
        state.ResumeTiming();
    }
    state.counters["least_ms"] = least_ms;   // what it takes when nothing disturbs
}
BENCHMARK(forward_step)
    ->ArgsProduct({{0, 8}, {8, 16, 24, 32, 48, 64, 128, 256, 504}})
    ->ArgsProduct({{1, 2, 3, 4, 6, 8, 12, 16, 24, 32}, {0}})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime()
    ->Iterations(9);

// Deciding what a step computes: streams: with drafts, or beside prompts.
void plan_step(benchmark::State& state) {
    CostModel cost;
    for (uint32_t rows : CostModel::calibration_rows(512)) {
        cost.observe({rows, rows}, 15 + 3.0 * rows);
    }
    StepState step{.free_cells = 10000, .rows_max = 512, .step_ms_max = 400, .cost = &cost};
    const auto streams = static_cast<Slot>(state.range(0));
    for (Slot slot = 0; slot < streams; ++slot) {
        const bool drafts = slot % 2 == 0 && state.range(1) == 0;
        step.running.push_back({.slot = slot, .id = static_cast<SequenceId>(slot), .computed = 300, .remaining = 1, .generates = true,
                                .drafted = drafts ? 16u : 0, .acceptance = 0.5 + slot % 5 * 0.1});
    }
    for (Slot slot = streams; slot < streams + state.range(1); ++slot) {
        step.running.push_back({.slot = slot, .id = static_cast<SequenceId>(slot), .remaining = 500u + static_cast<uint32_t>(slot) % 7});
    }
    const BatchPlanner planner;
    for (auto _ : state) {
        StepPlan plan = planner.plan(step);
        benchmark::DoNotOptimize(plan);
    }
}
BENCHMARK(plan_step)->ArgNames({"streams", "prompts"})->Args({32, 0})->Args({32, 4})->Args({256, 0})->Args({224, 32})->Unit(benchmark::kMicrosecond);

void observe_step(benchmark::State& state) {
    CostModel cost;
    uint32_t rows = 0;
    for (auto _ : state) {
        rows = rows % 300 + 1;
        cost.observe({rows, 1000 + rows}, 15 + 3.0 * rows);
    }
}
BENCHMARK(observe_step)->Unit(benchmark::kMicrosecond);

struct Stream {
    double first_ms = 0;
    double last_ms = 0;
    double gap_max_ms = 0;
    uint32_t tokens = 0;
    uint32_t cached = 0;
    std::promise<void> done;
};

void six_panels(benchmark::State& state, int panels, bool equal) {
    auto runner = load();
    if (!runner) {
        state.SkipWithError("the model does not load");
        return;
    }
    auto engine = Engine::start(std::move(runner), EngineConfig{});
    TokenId fresh = 1000;
    double ttft = 0, rate = 0, cached = 0, gap = 0;
    for (auto _ : state) {
        std::vector<Stream> streams(static_cast<size_t>(panels));
        const auto start = std::chrono::steady_clock::now();
        for (size_t i = 0; i < streams.size(); ++i) {
            SequenceRequest request;
            fresh += equal && i > 0 ? 0 : 1;
            for (TokenId t = 0; t < 334; ++t) {
                request.prompt.push_back(1000 + (fresh * 7919 + t * 104729) % 40000);
            }
            request.max_tokens = 64;
            request.sampling.temperature = 0.7f;
            request.sampling.seed = i;
            request.sampling.ignore_eos = true;
            request.on_event = [&stream = streams[i], start](const TokenEvent& event) {
                const double now = ms_since(start);
                stream.first_ms = stream.tokens == 0 ? now : stream.first_ms;
                stream.gap_max_ms = stream.tokens == 0 ? 0 : std::max(stream.gap_max_ms, now - stream.last_ms);
                stream.last_ms = now;
                stream.tokens = event.completion_tokens;
                stream.cached = event.cached_tokens;
                if (event.finish) {
                    stream.done.set_value();
                }
            };
            (void)engine->submit(std::move(request));
        }
        uint32_t tokens = 0;
        for (Stream& stream : streams) {
            stream.done.get_future().wait();
            ttft += stream.first_ms / panels;
            tokens += stream.tokens;
            cached += stream.cached;
            gap = std::max(gap, stream.gap_max_ms);
        }
        rate += tokens / ms_since(start) * 1000;
    }
    const auto n = static_cast<double>(state.iterations());
    state.counters["ttft_ms"] = ttft / n;
    state.counters["tok_s"] = rate / n;
    state.counters["cached"] = cached / n;
    state.counters["itl_max_ms"] = gap;
}
BENCHMARK_CAPTURE(six_panels, one, 1, true)->Unit(benchmark::kMillisecond)->UseRealTime()->Iterations(3);
BENCHMARK_CAPTURE(six_panels, six_equal, 6, true)->Unit(benchmark::kMillisecond)->UseRealTime()->Iterations(3);
BENCHMARK_CAPTURE(six_panels, six_different, 6, false)->Unit(benchmark::kMillisecond)->UseRealTime()->Iterations(3);

}  // namespace
}  // namespace gantry::engine
