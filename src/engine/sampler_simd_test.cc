// Every version of the kernels that this CPU runs against the scalar one: the same bits.
#include "engine/sampler_simd.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "engine/sampler.h"

namespace gantry::engine {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

// A row with ties, impossible logits, and a mask of every density.
struct Row {
    std::vector<float> values;
    std::vector<uint32_t> mask;
    std::vector<TokenId> tokens;
    std::vector<LogitBlock> blocks;
};

Row random_row(std::mt19937_64& random) {
    const auto chance = [&](int percent) { return static_cast<int>(random() % 100) < percent; };
    std::normal_distribution<float> normal(0, chance(50) ? 3.0f : 20.0f);
    const size_t blocks = 1 + random() % 6;
    Row row;
    row.values.assign(blocks * kBlockMax, -kInf);
    row.mask.assign(blocks * kBlockMax / 32, 0);
    row.tokens.resize(row.values.size());
    const bool rounded = chance(30);
    for (size_t i = 0; i < row.values.size(); ++i) {
        const float x = normal(random);
        row.values[i] = chance(2) ? -kInf : rounded ? std::round(x) : x;
        row.tokens[i] = static_cast<TokenId>(random() % 1000000);
    }
    for (uint32_t& word : row.mask) {
        const uint64_t kind = random() % 4;
        word = kind == 0 ? 0u : kind == 1 ? ~0u : kind == 2 ? 1u << (random() % 32) : static_cast<uint32_t>(random());
    }
    for (size_t b = 0; b < blocks; ++b) {
        LogitBlock block;
        block.values = row.values.data() + b * kBlockMax;
        block.mask = chance(50) ? row.mask.data() + b * kBlockMax / 32 : nullptr;
        block.tokens = chance(20) ? row.tokens.data() + b * kBlockMax : nullptr;
        block.first = static_cast<TokenId>(b * kBlockMax);
        block.size = chance(50) ? kBlockMax : static_cast<uint32_t>(16 * (1 + random() % (kBlockMax / 16)));
        row.blocks.push_back(block);
    }
    return row;
}

bool same_bits(const void* a, const void* b, size_t bytes) { return std::memcmp(a, b, bytes) == 0; }

TEST(SamplerSimd, EveryVersionGivesTheBitsOfTheReference) {
    std::mt19937_64 random(5);
    uint64_t counted = 0;
    for (int round = 0; round < 3000; ++round) {
        Row row = random_row(random);
        ASSERT_TRUE(kScalarKernels.find_peaks(row.blocks));
        float peak = -kInf;
        for (const LogitBlock& block : row.blocks) {
            peak = std::max(peak, block.max);
        }
        if (peak == -kInf) {
            continue;   // masked out altogether
        }
        std::uniform_real_distribution<float> depth(0, 30);
        const float temperatures[] = {1e-6f, 0.2f, 0.7f, 1.0f, 1.9f};
        const WeightScale scale{peak, 1.44269504f / temperatures[random() % 5]};
        LogitBand band;
        band.from = round % 3 == 0 ? band.from : round % 3 == 1 ? peak - depth(random) : std::round(peak - depth(random));
        band.below = round % 5 == 0 ? band.from + depth(random) : band.below;
        std::vector<double> masses(row.blocks.size());
        const Weighed expected = kScalarKernels.weigh(row.blocks, band, scale, masses.data());
        counted += expected.count;
        for (const SamplerKernels* kernels : runnable_kernels()) {
            SCOPED_TRACE(testing::Message() << kernels->name << ", round " << round);
            std::vector<LogitBlock> blocks = row.blocks;
            ASSERT_TRUE(kernels->find_peaks(blocks));
            std::vector<double> got(blocks.size(), -1);
            const Weighed weighed = kernels->weigh(row.blocks, band, scale, got.data());
            ASSERT_EQ(weighed.count, expected.count);
            ASSERT_TRUE(same_bits(&weighed.mass, &expected.mass, sizeof(double))) << weighed.mass << " " << expected.mass;
            ASSERT_TRUE(same_bits(got.data(), masses.data(), got.size() * sizeof(double)));
            for (size_t b = 0; b < blocks.size(); ++b) {
                ASSERT_EQ(blocks[b].max, row.blocks[b].max);
                Candidate a[kBlockMax], c[kBlockMax];
                const uint32_t count = kScalarKernels.gather(blocks[b], band, a);
                ASSERT_EQ(kernels->gather(blocks[b], band, c), count);
                ASSERT_TRUE(same_bits(a, c, count * sizeof(Candidate)));
                float w[kBlockMax], v[kBlockMax];
                kScalarKernels.weights(blocks[b], band, scale, w);
                kernels->weights(blocks[b], band, scale, v);
                ASSERT_TRUE(same_bits(w, v, blocks[b].size * sizeof(float)));
            }
        }
    }
    EXPECT_GT(counted, 1000000u);
}

TEST(SamplerSimd, ProbabilitiesAreThoseOfDoubles) {
    std::mt19937_64 random(6);
    for (int round = 0; round < 200; ++round) {
        Row row = random_row(random);
        for (const SamplerKernels* kernels : runnable_kernels()) {
            ASSERT_TRUE(kernels->find_peaks(row.blocks));
            float peak = -kInf;
            for (const LogitBlock& block : row.blocks) {
                peak = std::max(peak, block.max);
            }
            if (peak == -kInf) {
                continue;
            }
            const double temperature = 0.3 + 0.1 * (round % 15);
            const WeightScale scale{peak, static_cast<float>(1.4426950408889634 / temperature)};
            const auto exactly = [&](float x) { return std::exp((static_cast<double>(x) - peak) / temperature); };
            double sum = 0;
            for (const LogitBlock& block : row.blocks) {
                for (uint32_t i = 0; i < block.size; ++i) {
                    sum += block.has(i) ? exactly(block.values[i]) : 0;
                }
            }
            const double mass = kernels->weigh(row.blocks, LogitBand{}, scale, nullptr).mass;
            ASSERT_NEAR(mass / sum, 1, 1e-6) << kernels->name;
            for (const LogitBlock& block : row.blocks) {
                float weights[kBlockMax];
                kernels->weights(block, LogitBand{}, scale, weights);
                for (uint32_t i = 0; i < block.size; ++i) {
                    const double expected = block.has(i) ? exactly(block.values[i]) / sum : 0;
                    ASSERT_NEAR(weights[i] / mass, expected, 1e-6) << kernels->name;
                    ASSERT_FALSE(!block.has(i) && weights[i] != 0) << "a masked token weighs nothing";
                }
            }
        }
    }
}

TEST(SamplerSimd, FindsANanWhereverItStands) {
    for (const SamplerKernels* kernels : runnable_kernels()) {
        for (size_t at = 0; at < kBlockMax; ++at) {
            std::vector<float> values(kBlockMax, 1.0f);
            values[at] = std::numeric_limits<float>::quiet_NaN();
            std::vector<uint32_t> mask(kBlockMax / 32, ~0u);
            LogitBlock block{.values = values.data(), .mask = nullptr, .tokens = nullptr, .first = 0, .size = kBlockMax};
            EXPECT_FALSE(kernels->find_peaks({&block, 1})) << kernels->name << " " << at;
            block.mask = mask.data();
            EXPECT_FALSE(kernels->find_peaks({&block, 1})) << kernels->name << " " << at;
            mask[at / 32] = ~(1u << (at % 32));
            EXPECT_TRUE(kernels->find_peaks({&block, 1})) << "what is masked out is not looked at";
            EXPECT_EQ(block.max, 1.0f);
        }
    }
}

TEST(SamplerSimd, TheBestOfThemIsTaken) {
    const auto kernels = runnable_kernels();
    ASSERT_EQ(kernels.front(), &kScalarKernels);
    EXPECT_EQ(&best_kernels(), kernels.back());
#if defined(__x86_64__)
    const std::string expected = __builtin_cpu_supports("avx512f") ? "avx512" : __builtin_cpu_supports("avx2") ? "avx2" : "scalar";
    EXPECT_EQ(best_kernels().name, expected);
#endif
}

// The whole sampler: the same token for the same seed, whatever the machine.
TEST(SamplerSimd, TheSameTokenOnEveryMachine) {
    std::mt19937_64 random(8);
    const auto chance = [&](int percent) { return static_cast<int>(random() % 100) < percent; };
    std::vector<Sampler> samplers;
    for (const SamplerKernels* kernels : runnable_kernels()) {
        samplers.emplace_back(*kernels);
    }
    int drawn = 0;
    for (int round = 0; round < 4000; ++round) {
        std::vector<float> row(1 + random() % 4000);
        std::normal_distribution<float> normal(0, chance(30) ? 0.05f : 3.0f);
        const bool rounded = chance(20);
        for (float& x : row) {
            x = chance(1) ? -kInf : rounded ? std::round(normal(random)) : normal(random);
        }
        std::vector<uint32_t> allowed(chance(40) ? (row.size() + 31) / 32 : 0);
        for (uint32_t& word : allowed) {
            word = chance(60) ? 0u : static_cast<uint32_t>(random());
        }
        SamplingParams params;
        params.seed = random();
        params.temperature = chance(10) ? 0.0f : 0.1f + 0.1f * static_cast<float>(random() % 20);
        params.top_k = chance(40) ? static_cast<int32_t>(1 + random() % 1500) : 0;
        params.top_p = chance(50) ? static_cast<float>(random() % 1001) / 1000.0f : 1.0f;
        params.min_p = chance(20) ? 0.02f : 0.0f;
        params.repetition_penalty = chance(40) ? 1.2f : 1.0f;
        params.logprobs = true;
        params.top_logprobs = static_cast<uint32_t>(random() % 4);
        TokenCounts counts;
        for (int i = 0; i < 30; ++i) {
            counts[static_cast<TokenId>(random() % row.size())] += 1;
        }
        const SampleInput input{.logits = row, .params = params, .counts = counts, .index = 3, .end_tokens = {}, .allowed = allowed};
        const auto expected = samplers[0].sample(input);
        drawn += expected.ok() ? 1 : 0;
        for (Sampler& sampler : samplers) {
            const auto got = sampler.sample(input);
            ASSERT_EQ(got.ok(), expected.ok()) << "round " << round;
            if (got) {
                ASSERT_EQ(got->token, expected->token) << "round " << round;
                ASSERT_EQ(got->logprob->logprob, expected->logprob->logprob);
                ASSERT_EQ(got->top_logprobs.size(), expected->top_logprobs.size());
                for (size_t i = 0; i < got->top_logprobs.size(); ++i) {
                    ASSERT_EQ(got->top_logprobs[i].token, expected->top_logprobs[i].token);
                }
            }
        }
    }
    EXPECT_GT(drawn, 3500);
}

}  // namespace
}  // namespace gantry::engine
