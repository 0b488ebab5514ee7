// Every kernel against the definition in double precision, through ggml's own graph and threads.
#include "engine/kernels/attention.h"

#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml-cpu.h>
#include <ggml.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace gantry::engine::kernels {
namespace {

struct Case {
    const char* name;
    uint32_t dk, dv, heads, kv_heads, cells;
    // For each row, which cells it sees.
    std::vector<std::vector<uint32_t>> seen;
};

// `rows` consecutive tokens of one sequence whose cells are every `step`-th from `first` on.
void add_sequence(Case& c, uint32_t first, uint32_t length, uint32_t rows, uint32_t step = 1) {
    for (uint32_t row = 0; row < rows; ++row) {
        std::vector<uint32_t> cells;
        for (uint32_t i = 0; i < length - rows + row + 1; ++i) {
            cells.push_back(first + i * step);
        }
        c.seen.push_back(cells);
    }
}

std::vector<Case> cases() {
    std::vector<Case> all;
    all.push_back({"one row", 64, 64, 9, 3, 256, {}});
    add_sequence(all.back(), 3, 77, 1);
    all.push_back({"six streams, interleaved cells", 64, 64, 14, 2, 512, {}});
    for (uint32_t i = 0; i < 6; ++i) {
        add_sequence(all.back(), i, 70, 1, 6);
    }
    all.push_back({"a prompt", 64, 64, 9, 3, 512, {}});
    add_sequence(all.back(), 0, 300, 300);
    all.push_back({"streams beside a prompt", 128, 128, 12, 2, 768, {}});
    add_sequence(all.back(), 400, 60, 1, 3);
    add_sequence(all.back(), 401, 33, 4, 3);
    add_sequence(all.back(), 0, 350, 90);
    all.push_back({"one head each, odd sizes", 80, 48, 5, 5, 300, {}});
    add_sequence(all.back(), 0, 31, 5);
    add_sequence(all.back(), 31, 64, 3);
    all.push_back({"many heads to one", 256, 256, 71, 1, 256, {}});
    add_sequence(all.back(), 0, 100, 7);
    all.push_back({"a row that sees nothing", 64, 64, 4, 2, 256, {}});
    add_sequence(all.back(), 0, 40, 2);
    all.back().seen.push_back({});
    return all;
}

struct Graph {
    Graph(const Case& c, uint64_t seed) : c_(c), rows(static_cast<int64_t>(c.seen.size())) {
        ggml_init_params params{.mem_size = 1 << 20, .mem_buffer = nullptr, .no_alloc = true};
        context = ggml_init(params);
        q = ggml_new_tensor_3d(context, GGML_TYPE_F32, c.dk, rows, c.heads);
        k = ggml_new_tensor_3d(context, GGML_TYPE_F16, c.dk, c.cells, c.kv_heads);
        v = ggml_new_tensor_3d(context, GGML_TYPE_F16, c.dv, c.cells, c.kv_heads);
        mask = ggml_new_tensor_2d(context, GGML_TYPE_F16, c.cells, rows);
        out = ggml_flash_attn_ext(context, q, k, v, mask, 0.125f, 0, 0);
        ggml_prec_set_acc(out, GGML_PREC_F32);
        graph = ggml_new_graph(context);
        ggml_build_forward_expand(graph, out);
        backend = ggml_backend_cpu_init();
        buffer = ggml_backend_alloc_ctx_tensors(context, backend);
        fill(seed);
    }
    ~Graph() {
        ggml_backend_buffer_free(buffer);
        ggml_backend_free(backend);
        ggml_free(context);
    }
    Graph(const Graph&) = delete;
    Graph& operator=(const Graph&) = delete;

    void fill(uint64_t seed) {
        std::mt19937_64 random(seed);
        std::normal_distribution<float> normal(0, 2);
        for (ggml_tensor* tensor : {k, v}) {
            auto* values = static_cast<ggml_fp16_t*>(tensor->data);
            for (int64_t i = 0; i < ggml_nelements(tensor); ++i) {
                values[i] = ggml_fp32_to_fp16(normal(random));
            }
        }
        auto* queries = static_cast<float*>(q->data);
        for (int64_t i = 0; i < ggml_nelements(q); ++i) {
            queries[i] = normal(random);
        }
        auto* closed = static_cast<ggml_fp16_t*>(mask->data);
        std::fill_n(closed, ggml_nelements(mask), ggml_fp32_to_fp16(-INFINITY));
        for (size_t row = 0; row < c_.seen.size(); ++row) {
            for (uint32_t cell : c_.seen[row]) {
                closed[row * c_.cells + cell] = 0;
            }
        }
    }
    std::vector<float> compute(int threads) {
        ggml_backend_cpu_set_n_threads(backend, threads);
        std::fill_n(static_cast<float*>(out->data), ggml_nelements(out), NAN);
        EXPECT_EQ(ggml_backend_graph_compute(backend, graph), GGML_STATUS_SUCCESS);
        const auto* values = static_cast<const float*>(out->data);
        return {values, values + ggml_nelements(out)};
    }
    std::vector<double> expected() const {
        std::vector<double> result;
        for (size_t row = 0; row < c_.seen.size(); ++row) {
            for (uint32_t head = 0; head < c_.heads; ++head) {
                const auto* query = static_cast<const float*>(q->data) + (head * c_.seen.size() + row) * c_.dk;
                const size_t kv_head = head / (c_.heads / c_.kv_heads);
                const auto* keys = static_cast<const ggml_fp16_t*>(k->data) + kv_head * c_.cells * c_.dk;
                const auto* values = static_cast<const ggml_fp16_t*>(v->data) + kv_head * c_.cells * c_.dv;
                double highest = -INFINITY, sum = 0;
                std::vector<double> scores;
                for (uint32_t cell : c_.seen[row]) {
                    double dot = 0;
                    for (uint32_t d = 0; d < c_.dk; ++d) {
                        dot += double{query[d]} * ggml_fp16_to_fp32(keys[cell * c_.dk + d]);
                    }
                    scores.push_back(dot * 0.125);
                    highest = std::max(highest, scores.back());
                }
                std::vector<double> mean(c_.dv, 0);
                for (size_t i = 0; i < scores.size(); ++i) {
                    const double weight = std::exp(scores[i] - highest);
                    sum += weight;
                    for (uint32_t d = 0; d < c_.dv; ++d) {
                        mean[d] += weight * ggml_fp16_to_fp32(values[c_.seen[row][i] * c_.dv + d]);
                    }
                }
                for (double x : mean) {
                    result.push_back(sum > 0 ? x / sum : 0);
                }
            }
        }
        return result;
    }

    const Case& c_;
    int64_t rows;
    ggml_context* context;
    ggml_tensor *q, *k, *v, *mask, *out;
    ggml_cgraph* graph;
    ggml_backend_t backend;
    ggml_backend_buffer_t buffer;
};

class AttentionTest : public ::testing::TestWithParam<AttentionKernel> {
protected:
    void SetUp() override {
        const AttentionKernel best = install_attention();
        if (static_cast<int>(GetParam()) > static_cast<int>(best)) {
            GTEST_SKIP() << "this CPU does not run that kernel";
        }
        use_attention(GetParam());
    }
    void TearDown() override { use_attention(best_); }
    const AttentionKernel best_ = install_attention();
};

TEST_P(AttentionTest, IsTheDefinition) {
    for (const Case& c : cases()) {
        Graph graph(c, 7);
        const std::vector<double> expected = graph.expected();
        for (int threads : {1, 2, 3}) {
            const std::vector<float> got = graph.compute(threads);
            ASSERT_EQ(got.size(), expected.size());
            double worst = 0;
            for (size_t i = 0; i < got.size(); ++i) {
                worst = std::max(worst, std::isnan(got[i]) ? INFINITY : std::abs(got[i] - expected[i]));
            }
            EXPECT_LT(worst, GetParam() == AttentionKernel::kNone ? 0.05 : 2e-4) << c.name << ", " << threads << " threads";
        }
    }
}

class OwnAttentionTest : public AttentionTest {};

// A token's row comes out the same bit for bit alone (its prompt cached), as the last of a prompt, and before a stream's guesses:
// the seed of a request repeats.
TEST_P(OwnAttentionTest, ARowRoundsTheSameHoweverManyAreBesideIt) {
    constexpr uint32_t kLength = 77;
    for (const uint32_t heads : {9u, 14u, 71u}) {
        const uint32_t kv_heads = heads == 9 ? 3 : heads == 14 ? 2 : 1;
        const auto row_of = [&](uint32_t before, uint32_t after) {
            const uint32_t rows = before + 1 + after;
            Case c{"beside", 64, 64, heads, kv_heads, 256, {}};
            add_sequence(c, 0, kLength + after, rows);
            Graph graph(c, 7);
            for (int64_t i = 0; i < ggml_nelements(graph.q); ++i) {
                static_cast<float*>(graph.q->data)[i] = std::sin(static_cast<float>(i % 64));
            }
            const std::vector<float> all = graph.compute(2);
            const size_t size = size_t{heads} * 64;
            const auto from = all.begin() + static_cast<std::ptrdiff_t>(before * size);
            return std::vector<float>(from, from + static_cast<std::ptrdiff_t>(size));
        };
        const std::vector<float> alone = row_of(0, 0);
        for (const uint32_t beside : {1u, 3u, 15u}) {
            EXPECT_EQ(row_of(0, beside), alone) << heads << " heads, " << beside << " guesses";
        }
        for (const uint32_t beside : {1u, 15u, 16u, 31u, 32u, 76u}) {
            EXPECT_EQ(row_of(beside, 0), alone) << heads << " heads, the last of " << beside + 1;
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Kernels, AttentionTest,
                         ::testing::Values(AttentionKernel::kNone, AttentionKernel::kAvx2, AttentionKernel::kAvx512));
INSTANTIATE_TEST_SUITE_P(Kernels, OwnAttentionTest, ::testing::Values(AttentionKernel::kAvx2, AttentionKernel::kAvx512));

}  // namespace
}  // namespace gantry::engine::kernels
