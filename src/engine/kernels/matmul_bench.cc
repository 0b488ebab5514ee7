// Products of one matrix of weights, as steps of decoding and prompts have them: ours and ggml's best, beside what this CPU can do at
// most. Weights are taken in turn from enough copies that they come from memory, as a model's do. bench/kernels.py makes a report of it.
// GANTRY_BENCH_THREADS: how many threads (default: the cores). GANTRY_BENCH_KERNEL: avx2, avxvnni or avx512 (default: the best here).
#include <benchmark/benchmark.h>
#include <ggml-backend.h>
#include <ggml-cpu.h>
#include <ggml.h>
#include <immintrin.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/platform/memory.h"
#include "engine/kernels/matmul.h"

namespace gantry::engine::kernels {
namespace {

constexpr size_t kCopiedBytes = 128u << 20;   // more than any cache here
constexpr double kOperationsMax = 20e9;       // of one pass: where multiplying takes longest, fewer copies are as good

int thread_count() {
    const char* given = std::getenv("GANTRY_BENCH_THREADS");
    return given ? std::atoi(given) : static_cast<int>(platform::usable_cores());
}

// --- what the CPU can do -----------------------------------------------------------------------------------------------

__attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni"))) int64_t products_avx512(int64_t rounds) {
    __m512i sums[12];
    for (auto& sum : sums) {
        sum = _mm512_setzero_si512();
    }
    const __m512i a = _mm512_set1_epi8(3);
    __m512i b = _mm512_set1_epi8(5);
    for (int64_t round = 0; round < rounds; ++round) {
        asm volatile("" : "+v"(b));
#pragma GCC unroll 12
        for (auto& sum : sums) {
            sum = _mm512_dpbusd_epi32(sum, a, b);
        }
    }
    __m512i all = sums[0];
    for (auto& sum : sums) {
        all = _mm512_add_epi32(all, sum);
    }
    return _mm512_reduce_add_epi32(all);
}

__attribute__((target("avx2,avxvnni"))) int64_t products_avxvnni(int64_t rounds) {
    __m256i sums[12] = {};
    const __m256i a = _mm256_set1_epi8(3);
    __m256i b = _mm256_set1_epi8(5);
    for (int64_t round = 0; round < rounds; ++round) {
        asm volatile("" : "+x"(b));
#pragma GCC unroll 12
        for (auto& sum : sums) {
            sum = _mm256_dpbusd_avx_epi32(sum, a, b);
        }
    }
    __m256i all = sums[0];
    for (auto& sum : sums) {
        all = _mm256_xor_si256(all, sum);
    }
    return _mm256_extract_epi64(all, 0);
}

// In sums of 16 bits, however soon they are full.
__attribute__((target("avx2"))) int64_t products_avx2(int64_t rounds) {
    __m256i sums[12] = {};
    const __m256i a = _mm256_set1_epi8(3);
    __m256i b = _mm256_set1_epi8(5);
    for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
        for (auto& sum : sums) {
            asm volatile("" : "+x"(b));   // each product anew
            sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(a, b));
        }
    }
    __m256i all = sums[0];
    for (auto& sum : sums) {
        all = _mm256_xor_si256(all, sum);
    }
    return _mm256_extract_epi64(all, 0);
}

// What products of 32-bit floats can do, which 16-bit weights without dot products of their own come to.
__attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni"))) float fused_products(int64_t rounds) {
    __m512 sums[12];
    for (auto& sum : sums) {
        sum = _mm512_setzero_ps();
    }
    const __m512 a = _mm512_set1_ps(0.5F);
    __m512 b = _mm512_set1_ps(1.5F);
    for (int64_t round = 0; round < rounds; ++round) {
        asm volatile("" : "+v"(b));
#pragma GCC unroll 12
        for (auto& sum : sums) {
            sum = _mm512_fmadd_ps(a, b, sum);
        }
    }
    __m512 all = sums[0];
    for (auto& sum : sums) {
        all = _mm512_add_ps(all, sum);
    }
    return _mm512_reduce_add_ps(all);
}

__attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16"))) float bf16_products(int64_t rounds) {
    __m512 sums[12];
    for (auto& sum : sums) {
        sum = _mm512_setzero_ps();
    }
    const __m512bh a = _mm512_cvtne2ps_pbh(_mm512_set1_ps(0.5F), _mm512_set1_ps(1.5F));
    __m512bh b = a;
    for (int64_t round = 0; round < rounds; ++round) {
        asm volatile("" : "+v"(b));
#pragma GCC unroll 12
        for (auto& sum : sums) {
            sum = _mm512_dpbf16_ps(sum, a, b);
        }
    }
    __m512 all = sums[0];
    for (auto& sum : sums) {
        all = _mm512_add_ps(all, sum);
    }
    return _mm512_reduce_add_ps(all);
}

int64_t read_all(const char* data, size_t bytes) {
    __m256i sums[8] = {};
    for (size_t at = 0; at < bytes; at += 256) {
        for (size_t i = 0; i < 8; ++i) {
            sums[i] = _mm256_xor_si256(sums[i], _mm256_load_si256(reinterpret_cast<const __m256i*>(data + at + i * 32)));
        }
    }
    for (size_t i = 1; i < 8; ++i) {
        sums[0] = _mm256_xor_si256(sums[0], sums[i]);
    }
    return _mm256_extract_epi64(sums[0], 0);
}

template <class Do>
void on_all_threads(Do part) {
    std::vector<std::jthread> others;
    for (int i = 1; i < thread_count(); ++i) {
        others.emplace_back([&part, i] { benchmark::DoNotOptimize(part(i)); });
    }
    benchmark::DoNotOptimize(part(0));
}

// `products`: twelve of `values` each a round.
template <class Multiply>
void peak(benchmark::State& state, double values, Multiply multiply) {
    constexpr int64_t kRounds = 4'000'000;
    for (auto _ : state) {
        on_all_threads([multiply](int) { return multiply(kRounds); });
    }
    state.counters["GOP/s"] = benchmark::Counter(2 * values * 12 * kRounds * thread_count() / 1e9, benchmark::Counter::kIsIterationInvariantRate);
}

void peak_bytes(benchmark::State& state, MatmulKernel kernel) {
    switch (kernel) {
        case MatmulKernel::kAvx512: peak(state, 64, products_avx512); break;
        case MatmulKernel::kAvxVnni: peak(state, 32, products_avxvnni); break;
        default: peak(state, 32, products_avx2); break;
    }
}

void peak_fma(benchmark::State& state) {
    if (!matmul_runs(MatmulKernel::kAvx512)) {
        state.SkipWithError("weights of 16 bits stay ggml's");
        return;
    }
    peak(state, 16, fused_products);
}

void peak_bf16(benchmark::State& state) {
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx512bf16")) {
        state.SkipWithError("this CPU has no dot products of BF16");
        return;
    }
    peak(state, 32, bf16_products);
}

void peak_read(benchmark::State& state) {
    // As much as the weights take, of which a cache may hold a part each time.
    const size_t bytes = kCopiedBytes, part = bytes / static_cast<size_t>(thread_count()) / 4096 * 4096;
    std::unique_ptr<char, void (*)(void*)> data(static_cast<char*>(std::aligned_alloc(2u << 20, bytes)), std::free);
    platform::wish_huge_pages(data.get(), bytes);
    std::memset(data.get(), 1, bytes);
    for (auto _ : state) {
        on_all_threads([&](int i) { return read_all(data.get() + static_cast<size_t>(i) * part, part); });
    }
    state.counters["GB/s"] = benchmark::Counter(static_cast<double>(part) * thread_count() / 1e9, benchmark::Counter::kIsIterationInvariantRate);
}

// --- products ----------------------------------------------------------------------------------------------------------

// The buffer type of that name, null: none such.
ggml_backend_buffer_type_t extra_type(const std::string& name) {
    const auto list = reinterpret_cast<ggml_backend_dev_get_extra_bufts_t>(ggml_backend_reg_get_proc_address(
        ggml_backend_dev_backend_reg(ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU)), "ggml_backend_dev_get_extra_bufts"));
    for (ggml_backend_buffer_type_t* type = list(nullptr); *type != nullptr; ++type) {
        if (name == ggml_backend_buft_name(*type)) {
            return *type;
        }
    }
    return nullptr;
}

// Whether ggml's device computes a product of such weights from a buffer of this type.
bool product_from(ggml_backend_buffer_type_t type, ggml_type weights, int64_t values, int64_t outputs) {
    const ggml_init_params params{.mem_size = 1 << 16, .mem_buffer = nullptr, .no_alloc = true};
    std::unique_ptr<ggml_context, void (*)(ggml_context*)> context(ggml_init(params), ggml_free);
    ggml_tensor* matrix = ggml_new_tensor_2d(context.get(), weights, values, outputs);
    ggml_tensor* product = ggml_mul_mat(context.get(), matrix, ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, values, 512));
    std::unique_ptr<ggml_backend_buffer, void (*)(ggml_backend_buffer_t)> buffer(ggml_backend_buft_alloc_buffer(type, 0), ggml_backend_buffer_free);
    matrix->buffer = buffer.get();
    return ggml_backend_dev_supports_op(ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU), product);
}

struct Case {
    ggml_type type;
    int64_t outputs, values;
    bool operator==(const Case&) const = default;
};

// Copies of one matrix in a buffer type, and graphs that multiply all of them by some rows.
class Products {
public:
    Products(const Case& what, const std::vector<char>& data, bool ours) : what_(what) {
        ggml_backend_buffer_type_t type = extra_type(ours ? "CPU_PACKED" : "CPU_REPACK");
        if (type == nullptr || !product_from(type, what.type, what.values, what.outputs)) {
            type = ours ? nullptr : ggml_backend_cpu_buffer_type();
        }
        if (type == nullptr) {
            return;
        }
        copies_ = std::max<size_t>(1, kCopiedBytes / data.size());
        context_.reset(ggml_init({.mem_size = 4 << 20, .mem_buffer = nullptr, .no_alloc = true}));
        for (size_t i = 0; i < copies_; ++i) {
            weights_.push_back(ggml_new_tensor_2d(context_.get(), what.type, what.values, what.outputs));
        }
        buffer_.reset(ggml_backend_alloc_ctx_tensors_from_buft(context_.get(), type));
        for (ggml_tensor* matrix : weights_) {
            ggml_backend_tensor_set(matrix, data.data(), 0, data.size());
        }
    }
    explicit operator bool() const { return copies_ > 0; }

    void run(benchmark::State& state, int64_t rows) {
        const auto numbers = static_cast<double>(what_.outputs * what_.values);
        const double operations = 2 * numbers * static_cast<double>(rows);
        const size_t used = std::clamp<size_t>(static_cast<size_t>(kOperationsMax / operations), 1, copies_);
        const size_t output_bytes = static_cast<size_t>(rows * what_.outputs) * sizeof(float);
        std::unique_ptr<ggml_context, void (*)(ggml_context*)> context(
            ggml_init({.mem_size = output_bytes * used + static_cast<size_t>(rows * what_.values) * sizeof(float) + (8u << 20),
                       .mem_buffer = nullptr, .no_alloc = false}), ggml_free);
        ggml_tensor* input = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, what_.values, rows);
        std::mt19937 random(1);
        std::normal_distribution<float> normal;
        std::generate_n(static_cast<float*>(input->data), ggml_nelements(input), [&] { return normal(random); });
        ggml_cgraph* graph = ggml_new_graph_custom(context.get(), used + 16, false);
        for (size_t i = 0; i < used; ++i) {
            ggml_build_forward_expand(graph, ggml_mul_mat(context.get(), weights_[i], input));
        }
        const int threads = thread_count();
        ggml_threadpool_params params = ggml_threadpool_params_default(threads);
        std::unique_ptr<ggml_threadpool, void (*)(ggml_threadpool_t)> pool(ggml_threadpool_new(&params), ggml_threadpool_free);
        ggml_cplan plan = ggml_graph_plan(graph, threads, pool.get());
        std::vector<uint8_t> work(plan.work_size);
        plan.work_data = work.data();
        for (auto _ : state) {
            ggml_graph_compute(graph, &plan);
        }
        const auto copies = static_cast<double>(used);
        const auto rate = benchmark::Counter::kIsIterationInvariantRate;
        state.counters["GOP/s"] = benchmark::Counter(operations * copies / 1e9, rate);
        state.counters["GB/s"] = benchmark::Counter(static_cast<double>(ggml_nbytes(weights_[0])) * copies / 1e9, rate);
        state.counters["us"] = benchmark::Counter(copies / 1e6, rate | benchmark::Counter::kInvert);   // a product
    }

private:
    Case what_;
    size_t copies_ = 0;
    std::unique_ptr<ggml_context, void (*)(ggml_context*)> context_{nullptr, ggml_free};
    std::unique_ptr<ggml_backend_buffer, void (*)(ggml_backend_buffer_t)> buffer_{nullptr, ggml_backend_buffer_free};
    std::vector<ggml_tensor*> weights_;
};

// Both contestants' weights; benchmarks run in the order in which they are registered, so one matrix at a time is enough.
struct Pair {
    explicit Pair(const Case& given) : what(given) {
        std::mt19937 random(1);
        std::normal_distribution<float> normal(0.01F, 0.05F);
        std::vector<float> row(static_cast<size_t>(what.values));
        const size_t bytes = ggml_row_size(what.type, what.values);
        std::vector<char> data(bytes * static_cast<size_t>(what.outputs));
        for (int64_t i = 0; i < what.outputs; ++i) {
            if (i < 64) {
                std::generate(row.begin(), row.end(), [&] { return normal(random); });
                ggml_quantize_chunk(what.type, row.data(), data.data() + static_cast<size_t>(i) * bytes, 0, 1, what.values, nullptr);
            } else {
                std::memcpy(data.data() + static_cast<size_t>(i) * bytes, data.data() + static_cast<size_t>(i % 64) * bytes, bytes);
            }
        }
        ours = std::make_unique<Products>(what, data, true);
        ggml = std::make_unique<Products>(what, data, false);
    }
    Case what;
    std::unique_ptr<Products> ours, ggml;
};

void product(benchmark::State& state, const Case& what, int64_t rows, bool ours) {
    static std::unique_ptr<Pair> pair;
    if (!pair || !(pair->what == what)) {
        pair.reset();
        pair = std::make_unique<Pair>(what);
    }
    Products& products = ours ? *pair->ours : *pair->ggml;
    if (!products) {
        state.SkipWithError("not taken");
        return;
    }
    products.run(state, rows);
}

const bool registered = [] {
    MatmulKernel kernel = install_matmul();
    if (const char* given = std::getenv("GANTRY_BENCH_KERNEL")) {
        const std::string name = given;
        kernel = name == "avx2" ? MatmulKernel::kAvx2 : name == "avxvnni" ? MatmulKernel::kAvxVnni : MatmulKernel::kAvx512;
        GGML_ASSERT(matmul_runs(kernel));
        use_matmul(kernel);
    }
    const char* const bytes = kernel == MatmulKernel::kAvx2 ? "peak/avx2" : "peak/vnni";
    benchmark::RegisterBenchmark(bytes, peak_bytes, kernel)->UseRealTime()->Unit(benchmark::kMillisecond);
    benchmark::RegisterBenchmark("peak/bf16", peak_bf16)->UseRealTime()->Unit(benchmark::kMillisecond);
    benchmark::RegisterBenchmark("peak/fma", peak_fma)->UseRealTime()->Unit(benchmark::kMillisecond);
    benchmark::RegisterBenchmark("peak/read", peak_read)->UseRealTime()->Unit(benchmark::kMillisecond);
    // Of Qwen2.5 0.5B: attention's output, the gate, the way back, and a part of the head.
    const std::pair<int64_t, int64_t> shapes[] = {{896, 896}, {4864, 896}, {896, 4864}, {32768, 896}, {8960, 1536}};
    for (const ggml_type type : {GGML_TYPE_Q4_0, GGML_TYPE_Q4_1, GGML_TYPE_Q5_0, GGML_TYPE_Q5_1, GGML_TYPE_Q8_0, GGML_TYPE_Q4_K, GGML_TYPE_Q5_K,
                                 GGML_TYPE_Q6_K, GGML_TYPE_IQ4_NL, GGML_TYPE_IQ4_XS, GGML_TYPE_BF16, GGML_TYPE_F16}) {
        for (const auto& [outputs, values] : shapes) {
            if (values % ggml_blck_size(type) != 0) {
                continue;
            }
            for (const int64_t rows : {1, 2, 4, 6, 8, 16, 32, 334}) {
                for (const bool ours : {true, false}) {
                    const std::string name = std::string(ggml_type_name(type)) + "/" + std::to_string(outputs) + "x" + std::to_string(values) +
                                             "/" + std::to_string(rows) + (ours ? "/ours" : "/ggml");
                    const Case what{type, outputs, values};
                    benchmark::RegisterBenchmark(name.c_str(), product, what, rows, ours)->UseRealTime()->Unit(benchmark::kMillisecond);
                }
            }
        }
    }
    return true;
}();

}  // namespace
}  // namespace gantry::engine::kernels
