// What forwards cost on a real model, by the kind of attention: prompts, decoding at some batch sizes, decoding beside cells of others and
// beside busy threads.
// GANTRY_TEST_MODEL names another model; GANTRY_BENCH_THREADS the threads; GANTRY_BENCH_GGML set: with ggml's kernels alone.
#include <benchmark/benchmark.h>
#include <llama.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "base/platform/memory.h"
#include "engine/llama_model_file.h"
#include "engine/llama_runner.h"
#include "engine/thread_governor.h"

namespace gantry::engine {
namespace {

enum Attention : int64_t { kOff, kOn, kOnQ8 };   // flash attention; with cells of q8_0

constexpr uint32_t kContext = 24576;

bool with_ggml() { return std::getenv("GANTRY_BENCH_GGML") != nullptr; }

std::string model_path() {
    const char* path = std::getenv("GANTRY_TEST_MODEL");
    return path ? path : std::string(std::getenv("HOME")) + "/.cache/gantry/models/llm/SmolLM2-135M-Instruct.Q4_1.gguf";
}

uint32_t threads() {   // 0: as many as there are cores
    const char* given = std::getenv("GANTRY_BENCH_THREADS");
    return given ? static_cast<uint32_t>(std::atoi(given)) : 0;
}

std::unique_ptr<LlamaRunner> load(int64_t attention) {
    LlamaOptions options;
    options.model_path = model_path();
    options.context_tokens = kContext;
    options.flash_attention = attention == kOff ? FlashAttention::kOff : FlashAttention::kOn;
    options.kv_type = attention == kOnQ8 ? KvType::kQ8 : KvType::kF16;
    use_own_kernels(!with_ggml());
    options.threads = threads();
    auto runner = LlamaRunner::load(options);
    return runner ? std::move(runner).value() : nullptr;
}

TokenId token_at(int32_t position) { return 1000 + (position * 7919) % 20000; }

void fill(ModelRunner& runner, Slot slot, int32_t length) {
    const auto most = static_cast<int32_t>(runner.capacity().batch_rows);
    for (int32_t from = 0; from < length; from += most) {
        Batch batch;
        for (int32_t at = from; at < std::min(length, from + most); ++at) {
            batch.push_back(BatchRow{.token = token_at(at + slot), .position = at, .slot = slot, .wants_logits = false});
        }
        batch.back().wants_logits = true;
        benchmark::DoNotOptimize(runner.forward(batch));
    }
}

// attention, tokens
void prefill(benchmark::State& state) {
    auto runner = load(state.range(0));
    if (!runner) {
        state.SkipWithError("the model does not load");
        return;
    }
    fill(*runner, 0, 64);
    for (auto _ : state) {
        state.PauseTiming();
        runner->truncate(0, 0);
        state.ResumeTiming();
        fill(*runner, 0, static_cast<int32_t>(state.range(1)));
    }
    state.counters["tok/s"] = benchmark::Counter(static_cast<double>(state.range(1)), benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(prefill)->ArgsProduct({{kOff, kOn, kOnQ8}, {334, 2048}})->Unit(benchmark::kMillisecond)->UseRealTime()->Iterations(3);

// attention, sequences, tokens of each, cells of others
void decode(benchmark::State& state) {
    auto runner = load(state.range(0));
    const auto sequences = static_cast<Slot>(state.range(1));
    const auto length = static_cast<int32_t>(state.range(2));
    if (!runner) {
        state.SkipWithError("the model does not load");
        return;
    }
    Slot other = 64;
    for (int64_t left = state.range(3); left > 0; left -= 1024) {
        fill(*runner, other++, 1024);
    }
    Batch batch;
    for (Slot slot = 0; slot < sequences; ++slot) {
        fill(*runner, slot, length);
        batch.push_back(BatchRow{.token = 1000, .position = length, .slot = slot, .wants_logits = true});
    }
    for (auto _ : state) {
        benchmark::DoNotOptimize(runner->forward(batch));
        state.PauseTiming();
        for (Slot slot = 0; slot < sequences; ++slot) {
            runner->truncate(slot, length);
        }
        state.ResumeTiming();
    }
    state.counters["tok/s"] = benchmark::Counter(sequences, benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(decode)
    ->ArgsProduct({{kOff, kOn, kOnQ8}, {1, 6}, {300, 1000}, {0}})
    ->ArgsProduct({{kOff, kOn, kOnQ8}, {2, 16, 32}, {300}, {0}})
    ->ArgsProduct({{kOff, kOn, kOnQ8}, {1, 6}, {300}, {8192, 16384}})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime()
    ->Iterations(24);

// A context of llama.cpp's own, for what LlamaRunner has no words for: cells that are copied in.
struct LongContext {
    LongContext(bool own, bool unified, uint32_t sequences, uint32_t length) {
        use_own_kernels(own);
        auto loaded = load_llama_model(model_path(), {});
        if (!loaded) {
            return;
        }
        model = std::move(loaded).value();
        llama_context_params params = llama_context_default_params();
        params.n_ctx = sequences * (length + 256);
        params.n_batch = params.n_ubatch = 512;
        params.n_seq_max = sequences;
        params.kv_unified = unified;
        params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
        params.n_threads = params.n_threads_batch = static_cast<int32_t>(threads() > 0 ? threads() : platform::usable_cores());
        context.reset(llama_init_from_model(model.get(), params));
    }
    // One step of the first `sequences`, or a piece of one's prompt.
    bool forward(const Batch& rows) const {
        llama_batch batch = llama_batch_init(static_cast<int32_t>(rows.size()), 0, 1);
        for (const BatchRow& row : rows) {
            const int32_t i = batch.n_tokens++;
            batch.token[i] = row.token;
            batch.pos[i] = row.position;
            batch.n_seq_id[i] = 1;
            batch.seq_id[i][0] = row.slot;
            batch.logits[i] = row.wants_logits ? 1 : 0;
        }
        const bool done = llama_decode(context.get(), batch) == 0;
        llama_batch_free(batch);
        return done;
    }
    LlamaModelPtr model;
    LlamaContextPtr context;
};

// sequences, tokens of each: no two share a cell. One is computed, by our kernels, and copied for the others.
void decode_long(benchmark::State& state) {
    const auto sequences = static_cast<uint32_t>(state.range(0));
    const auto length = static_cast<int32_t>(state.range(1));
    const bool unified = !with_ggml();   // ggml's attention is faster where each sequence has cells apart
    std::vector<uint8_t> cells;
    {
        const LongContext first(true, unified, sequences, static_cast<uint32_t>(length));
        for (int32_t from = 0; first.context && from < length; from += 512) {
            Batch batch;
            for (int32_t at = from; at < std::min(length, from + 512); ++at) {
                batch.push_back(BatchRow{.token = token_at(at), .position = at, .slot = 0, .wants_logits = at + 1 == length});
            }
            if (!first.forward(batch)) {
                state.SkipWithError("the prompt does not fit");
                return;
            }
        }
        cells.resize(first.context ? llama_state_seq_get_size(first.context.get(), 0) : 0);
        llama_state_seq_get_data(first.context.get(), cells.data(), cells.size(), 0);
    }
    const LongContext all(!with_ggml(), unified, sequences, static_cast<uint32_t>(length));
    Batch batch;
    for (uint32_t i = 0; i < sequences; ++i) {
        const auto slot = static_cast<Slot>(i);
        if (!all.context || llama_state_seq_set_data(all.context.get(), cells.data(), cells.size(), slot) == 0) {
            state.SkipWithError("the model does not load, or has no room for so many cells");
            return;
        }
        batch.push_back(BatchRow{.token = 1000, .position = length, .slot = slot, .wants_logits = true});
    }
    for (auto _ : state) {
        if (!all.forward(batch)) {
            state.SkipWithError("a step failed");
            break;
        }
        for (BatchRow& row : batch) {
            ++row.position;
        }
    }
    state.counters["tok/s"] = benchmark::Counter(sequences, benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(decode_long)->Args({8, 8192})->Unit(benchmark::kMillisecond)->UseRealTime()->Iterations(24);

// Six sequences decode for three seconds beside some busy threads: with all threads, with one, with as many as the governor says.
enum Threads : int64_t { kAll, kSingle, kGoverned };

void beside(benchmark::State& state) {
    auto runner = load(kOff);
    if (!runner) {
        state.SkipWithError("the model does not load");
        return;
    }
    ThreadGovernor governor(runner->threads_max());
    runner->set_threads(state.range(0) == kSingle ? 1 : runner->threads_max());
    constexpr int32_t kLength = 100;
    Batch batch;
    for (Slot slot = 0; slot < 6; ++slot) {
        fill(*runner, slot, kLength);
        batch.push_back(BatchRow{.token = 1000, .position = kLength, .slot = slot, .wants_logits = true});
    }
    std::atomic<bool> stop{false};
    std::vector<std::thread> neighbours;
    for (int64_t i = 0; i < state.range(1); ++i) {
        neighbours.emplace_back([&stop] { while (!stop.load(std::memory_order_relaxed)) {} });
    }
    double steps = 0, on_all = 0, waited = 0, changes = 0;
    const auto begin = std::chrono::steady_clock::now();
    for (auto _ : state) {
        auto now = begin;
        for (; now - begin < std::chrono::seconds(3); ++steps) {
            const uint32_t threads = state.range(0) == kGoverned ? governor.threads() : state.range(0) == kSingle ? 1 : runner->threads_max();
            runner->set_threads(threads);
            const auto step_begin = std::chrono::steady_clock::now();
            benchmark::DoNotOptimize(runner->forward(batch));
            now = std::chrono::steady_clock::now();
            const ThreadEvidence evidence = runner->thread_evidence();
            const double ms = std::chrono::duration<double, std::milli>(now - step_begin).count();
            governor.observe({.threads = threads, .ms = ms, .waited_ms = evidence.waited_ms, .idle_cores = evidence.idle_cores}, now);
            on_all += threads > 1 ? 1 : 0;
            waited += evidence.waited_ms / ms;
            changes += governor.threads() != threads ? 1 : 0;
            for (const BatchRow& row : batch) {
                runner->truncate(row.slot, kLength);
            }
        }
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    stop = true;
    for (std::thread& neighbour : neighbours) {
        neighbour.join();
    }
    state.counters["tok/s"] = 6 * steps / seconds;
    state.counters["on_all"] = on_all / steps;
    state.counters["lost"] = waited / steps;
    state.counters["changes"] = changes;
}
BENCHMARK(beside)->ArgsProduct({{kAll, kSingle, kGoverned}, {0, 1}})->Unit(benchmark::kMillisecond)->UseRealTime()->Iterations(1);

}  // namespace
}  // namespace gantry::engine
