#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <random>

namespace gantry::engine {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

std::vector<float> random_logits(std::mt19937_64& random, size_t size, float spread = 3.0f) {
    std::normal_distribution<float> normal(0, spread);
    std::vector<float> logits(size);
    std::generate(logits.begin(), logits.end(), [&] { return normal(random); });
    return logits;
}

// The plain way: a copy, a sort, a softmax in double. No end tokens here.
struct Reference {
    std::vector<double> logits;
    std::vector<TokenId> order;            // kept tokens, best first
    std::vector<double> probability;       // by token; 0: not kept
    bool near_boundary = false;            // top_p's cut lies within rounding of another one
};

bool bit_of(const std::vector<uint32_t>& mask, size_t i) { return i / 32 < mask.size() && (mask[i / 32] >> (i % 32) & 1u) != 0; }

Reference reference(const std::vector<float>& row, const SamplingParams& params, const TokenCounts& counts,
                    const std::vector<uint32_t>& allowed = {}) {
    Reference r;
    r.logits.assign(row.begin(), row.end());
    for (size_t i = 0; i < row.size() && !allowed.empty(); ++i) {
        r.logits[i] = bit_of(allowed, i) ? r.logits[i] : -kInf;
    }
    for (const auto& [token, bias] : params.logit_bias) {
        r.logits[static_cast<size_t>(token)] += bias;
    }
    for (const auto& [token, generated] : counts) {
        double& x = r.logits[static_cast<size_t>(token)];
        x = x > 0 ? x / params.repetition_penalty : x * params.repetition_penalty;
        x -= static_cast<double>(generated) * params.frequency_penalty + (generated > 0 ? params.presence_penalty : 0);
    }
    r.order.resize(row.size());
    std::iota(r.order.begin(), r.order.end(), 0);
    std::erase_if(r.order, [&](TokenId t) { return r.logits[static_cast<size_t>(t)] == -kInf; });
    const auto logit = [&](TokenId t) { return r.logits[static_cast<size_t>(t)]; };
    std::stable_sort(r.order.begin(), r.order.end(), [&](TokenId a, TokenId b) { return logit(a) > logit(b); });
    const double best = logit(r.order[0]);
    const auto weight = [&](TokenId t) { return std::exp((logit(t) - best) / params.temperature); };
    std::erase_if(r.order, [&](TokenId t) { return weight(t) < params.min_p; });
    if (params.top_k > 0 && r.order.size() > static_cast<size_t>(params.top_k)) {
        r.order.resize(static_cast<size_t>(params.top_k));
    }
    double all = 0;
    for (TokenId t : r.order) {
        all += weight(t);
    }
    if (params.top_p < 1) {
        double sum = 0;
        size_t kept = 0;
        while (kept < r.order.size() && (kept == 0 || sum < params.top_p * all)) {
            sum += weight(r.order[kept++]);
            r.near_boundary |= std::abs(sum - params.top_p * all) < 1e-5 * all;
        }
        r.order.resize(kept);
        all = sum;
    }
    r.probability.assign(row.size(), 0);
    for (TokenId t : r.order) {
        r.probability[static_cast<size_t>(t)] = weight(t) / all;
    }
    return r;
}

SamplingParams random_params(std::mt19937_64& random) {
    const auto chance = [&](int percent) { return static_cast<int>(random() % 100) < percent; };
    const auto real = [&](double from, double to) { return static_cast<float>(std::uniform_real_distribution<>(from, to)(random)); };
    SamplingParams params;
    params.temperature = real(0.2, 2.0);
    params.top_p = chance(50) ? real(0.0, 1.0) : 1.0f;
    params.min_p = chance(30) ? real(0.001, 0.5) : 0.0f;
    params.top_k = chance(50) ? static_cast<int32_t>(1 + random() % (chance(20) ? 2500 : 100)) : 0;
    params.presence_penalty = chance(30) ? real(-2, 2) : 0.0f;
    params.frequency_penalty = chance(30) ? real(-2, 2) : 0.0f;
    params.repetition_penalty = chance(30) ? real(0.5, 2) : 1.0f;
    if (chance(30)) {
        params.logit_bias = {{3, real(-20, 20)}, {17, real(-20, 20)}};
    }
    return params;
}

TEST(Sampler, SupportAndGreedyMatchThePlainReference) {
    std::mt19937_64 random(7);
    Sampler sampler;
    int compared = 0;
    for (int round = 0; round < 1500; ++round) {
        const std::vector<float> row = random_logits(random, 20 + random() % 5000, round % 3 == 0 ? 0.1f : 3.0f);
        SamplingParams params = random_params(random);
        TokenCounts counts;
        for (int i = 0; i < 20; ++i) {
            counts[static_cast<TokenId>(random() % row.size())] = static_cast<uint32_t>(random() % 4);
        }
        std::vector<uint32_t> allowed;
        if (round % 4 == 0) {
            allowed.resize(random() % 10 == 0 ? 1 : (row.size() + 31) / 32);   // may be too short: the rest is not allowed
            std::generate(allowed.begin(), allowed.end(), [&] { return static_cast<uint32_t>(random() % 3 == 0 ? random() : 0u); });
            allowed[0] |= 1u << (random() % 20);
        }
        const Reference expected = reference(row, params, needs_counts(params) ? counts : TokenCounts{}, allowed);
        const SampleInput input{.logits = row, .params = params, .counts = counts, .index = 0, .end_tokens = {}, .allowed = allowed};
        if (!expected.near_boundary) {
            std::vector<TokenId> tokens = expected.order;
            std::sort(tokens.begin(), tokens.end());
            ASSERT_EQ(sampler.support(input), tokens) << "round " << round;
            ++compared;
        }
        params.temperature = 0;
        ASSERT_EQ(sampler.sample(input)->token, expected.order[0]) << "round " << round;
    }
    EXPECT_GT(compared, 1200);
}

TEST(Sampler, TiesAreKeptByTheLowerId) {
    Sampler sampler;
    const std::vector<float> row(5000, 1.5f);
    SamplingParams params;
    params.top_k = 3;
    const SampleInput input{.logits = row, .params = params, .counts = {}, .index = 0, .end_tokens = {}};
    EXPECT_EQ(sampler.support(input), (std::vector<TokenId>{0, 1, 2}));
    params.top_k = 0;
    params.top_p = 0.0f;
    EXPECT_EQ(sampler.support(input), (std::vector<TokenId>{0}));
    params.temperature = 0;
    EXPECT_EQ(sampler.sample(input)->token, 0);
}

// The ties of changed logits with untouched ones are in order of the token, too, in the short list as by thresholds.
TEST(Sampler, ManyTiesAreCutWithoutListingThem) {
    Sampler sampler;
    std::vector<float> row(20000, 1.5f);
    row[7] = 1.0f;
    row[19999] = 3.5f;
    row[3] = 2.0f;
    SamplingParams params;
    params.logit_bias = {{7, 0.5f}, {19999, -2.0f}, {3, 0.0f}};
    SampleInput input{.logits = row, .params = params, .counts = {}, .index = 0, .end_tokens = {}};
    for (int32_t k : {5, 900, 1500, 19999}) {
        params.top_k = k;
        std::vector<TokenId> expected(static_cast<size_t>(k));
        std::iota(expected.begin(), expected.end(), 0);
        EXPECT_EQ(sampler.support(input), expected) << k;
        std::vector<bool> seen(static_cast<size_t>(k), false);
        for (input.index = 0; input.index < 200; ++input.index) {
            const TokenId token = sampler.sample(input)->token;
            ASSERT_LT(token, k);
            seen[static_cast<size_t>(token)] = true;
        }
        EXPECT_GT(std::count(seen.begin(), seen.end(), true), k == 5 ? 4 : 150) << "all of them are drawn alike";
    }
    params.top_k = 0;
    params.top_p = 0.25f;
    const std::vector<TokenId> quarter = sampler.support(input);
    EXPECT_NEAR(static_cast<double>(quarter.size()), 5000, 2);
    EXPECT_EQ(quarter.back(), static_cast<TokenId>(quarter.size()) - 1);
    params.temperature = 0;
    EXPECT_EQ(sampler.sample(input)->token, 3);
    row[3] = 1.5f;
    EXPECT_EQ(sampler.sample(input)->token, 0);
}

TEST(Sampler, ATemperatureNearNothingIsGreedy) {
    Sampler sampler;
    std::vector<float> row(1000, 0.0f);
    row[500] = 0.5f;
    for (float temperature : {1e-3f, 1e-10f, 1e-39f}) {
        const SamplingParams params{.temperature = temperature};
        EXPECT_EQ(sampler.sample(SampleInput{.logits = row, .params = params, .counts = {}, .index = 0, .end_tokens = {}})->token, 500);
    }
}

TEST(Sampler, DrawsFollowTheDistribution) {
    std::mt19937_64 random(11);
    Sampler sampler;
    for (int round = 0; round < 12; ++round) {
        const std::vector<float> row = random_logits(random, 2500, 1.5f);
        std::vector<uint32_t> allowed(round >= 8 ? 60 : 0, round == 8 ? 0x80000001u : 0xfff0fffeu);
        SamplingParams params;
        params.seed = static_cast<uint64_t>(round);
        params.temperature = 0.3f + 0.2f * static_cast<float>(round % 8);
        params.top_k = round % 2 == 0 ? 40 : 0;
        params.top_p = round % 3 == 0 ? 0.8f : 1.0f;
        params.logit_bias = {{5, 4.0f}};
        const Reference expected = reference(row, params, {}, allowed);
        constexpr uint32_t kDraws = 10000;
        std::vector<uint32_t> seen(row.size(), 0);
        for (uint32_t i = 0; i < kDraws; ++i) {
            const TokenCounts none;
            const auto drawn = sampler.sample(
                SampleInput{.logits = row, .params = params, .counts = none, .index = i, .end_tokens = {}, .allowed = allowed});
            ++seen[static_cast<size_t>(drawn->token)];
        }
        // Rare tokens are pooled, so that each class expects at least ten.
        double chi = 0, pooled_expected = 0, pooled_seen = 0;
        int classes = 0;
        for (size_t t = 0; t < row.size(); ++t) {
            const double mean = expected.probability[t] * kDraws;
            if (expected.probability[t] == 0 && !expected.near_boundary) {
                ASSERT_EQ(seen[t], 0u) << "token " << t << " must not be drawn";
            }
            if (mean >= 10) {
                chi += (seen[t] - mean) * (seen[t] - mean) / mean;
                ++classes;
            } else {
                pooled_expected += mean;
                pooled_seen += seen[t];
            }
        }
        if (pooled_expected >= 10) {
            chi += (pooled_seen - pooled_expected) * (pooled_seen - pooled_expected) / pooled_expected;
            ++classes;
        }
        const double freedom = classes - 1;
        EXPECT_LE(chi, freedom + 4 * std::sqrt(2 * freedom)) << "round " << round << ", " << classes << " classes";
    }
}

TEST(Sampler, CountsFindWhatWasCounted) {
    std::mt19937_64 random(2);
    TokenCounts counts;
    std::map<TokenId, uint32_t> expected;
    for (int i = 0; i < 5000; ++i) {
        const auto token = static_cast<TokenId>(random() % 3000);
        if (i % 3 == 0) {
            counts.try_emplace(token, 0);
            expected.try_emplace(token, 0);
        } else {
            counts[token] += 1;
            expected[token] += 1;
        }
    }
    EXPECT_EQ((std::map<TokenId, uint32_t>(counts.begin(), counts.end())), expected);
    EXPECT_EQ(counts.size(), expected.size());
    for (TokenId token = 0; token < 3000; ++token) {
        const uint32_t* count = counts.find(token);
        ASSERT_EQ(count != nullptr, expected.contains(token));
        ASSERT_TRUE(!count || *count == expected[token]);
    }
    EXPECT_EQ(TokenCounts{}.find(0), nullptr);
}

TEST(Sampler, NumbersDependOnSeedAndIndexOnly) {
    EXPECT_EQ(uniform_number(1, 2), uniform_number(1, 2));
    EXPECT_NE(uniform_number(1, 2), uniform_number(2, 1));
    EXPECT_NE(uniform_number(1, 2), uniform_number(0, 3));
    double sum = 0;
    for (uint64_t i = 0; i < 10000; ++i) {
        const double u = uniform_number(9, i);
        ASSERT_GE(u, 0.0);
        ASSERT_LT(u, 1.0);
        sum += u;
    }
    EXPECT_NEAR(sum / 10000, 0.5, 0.02);
}

TEST(Sampler, BrokenRowsAreErrorsAndMinusInfinityIsAMask) {
    Sampler sampler;
    SamplingParams params;
    for (float broken : {kInf, std::numeric_limits<float>::quiet_NaN()}) {
        for (size_t size : {5u, 100u}) {
            for (size_t at : {size_t{0}, size - 1}) {
                std::vector<float> row(size, 0.5f);
                row[at] = broken;
                EXPECT_FALSE(sampler.sample(SampleInput{.logits = row, .params = params, .counts = {}, .index = 0, .end_tokens = {}}).ok());
            }
        }
    }
    std::vector<float> row(100, -kInf);
    EXPECT_FALSE(sampler.sample(SampleInput{.logits = row, .params = params, .counts = {}, .index = 0, .end_tokens = {}}).ok());
    row[42] = -3;
    params.logprobs = true;
    params.top_logprobs = 2;
    const auto drawn = sampler.sample(SampleInput{.logits = row, .params = params, .counts = {}, .index = 0, .end_tokens = {}});
    ASSERT_TRUE(drawn.ok());
    EXPECT_EQ(drawn->token, 42);
    EXPECT_FLOAT_EQ(drawn->logprob->logprob, 0);
    EXPECT_EQ(drawn->top_logprobs[1].logprob, -9999.0f);
}

TEST(Sampler, EndTokensAreMaskedBeforeMinTokens) {
    Sampler sampler;
    std::vector<float> row(100, 0.0f);
    row[7] = 9;
    row[8] = 8;
    row[9] = 7;
    SamplingParams params;
    params.temperature = 0;
    params.min_tokens = 3;
    params.stop_token_ids = {8};
    const std::vector<TokenId> ends = {7};
    SampleInput input{.logits = row, .params = params, .counts = {}, .index = 2, .end_tokens = ends};
    EXPECT_EQ(sampler.sample(input)->token, 9);
    input.index = 3;
    EXPECT_EQ(sampler.sample(input)->token, 7);
    params.ignore_eos = true;
    EXPECT_EQ(sampler.sample(input)->token, 8);
}

std::vector<uint32_t> only(std::initializer_list<TokenId> tokens, size_t size) {
    std::vector<uint32_t> mask((size + 31) / 32, 0);
    for (TokenId token : tokens) {
        mask[static_cast<size_t>(token) / 32] |= 1u << (token % 32);
    }
    return mask;
}

// A constraint allows an end token only where the text may end, so nothing else holds it back.
TEST(Sampler, BesideAConstraintEndTokensAreItsMatter) {
    Sampler sampler;
    std::vector<float> row(1000, 5.0f);
    row[7] = 9;
    row[8] = 8;
    SamplingParams params;
    params.temperature = 0;
    params.min_tokens = 3;
    params.ignore_eos = true;
    params.stop_token_ids = {8};
    const std::vector<TokenId> ends = {7};
    const auto both = only({7, 8, 999}, row.size());
    SampleInput input{.logits = row, .params = params, .counts = {}, .index = 0, .end_tokens = ends, .allowed = both};
    EXPECT_EQ(sampler.sample(input)->token, 7);
    const auto stop_only = only({8, 999}, row.size());
    input.allowed = stop_only;
    EXPECT_EQ(sampler.sample(input)->token, 8);
    const auto last = only({999}, row.size());
    input.allowed = last;
    EXPECT_EQ(sampler.sample(input)->token, 999);
}

TEST(Sampler, WhatAConstraintForbidsNeitherBiasNorPenaltyBringsBack) {
    Sampler sampler;
    const std::vector<float> row(1000, 0.0f);
    SamplingParams params;
    params.presence_penalty = -2;
    params.logit_bias = {{4, 100.0f}, {600, 1.0f}, {600, 1.0f}};
    const TokenCounts counts = {{5, 9}, {601, 1}};
    const auto allowed = only({600, 601, 602}, row.size());
    SampleInput input{.logits = row, .params = params, .counts = counts, .index = 0, .end_tokens = {}, .allowed = allowed};
    EXPECT_EQ(sampler.support(input), (std::vector<TokenId>{600, 601, 602}));
    params.top_k = 2;
    EXPECT_EQ(sampler.support(input), (std::vector<TokenId>{600, 601})) << "a bias that is listed twice counts twice";
}

TEST(Sampler, NothingAllowedIsAnErrorThatSaysSo) {
    Sampler sampler;
    std::vector<float> row(1000, 0.0f);
    row[31] = -kInf;
    const SamplingParams params;
    const auto impossible = only({31}, row.size());
    const std::vector<uint32_t> past_the_end(40, 0);
    for (const std::vector<uint32_t>& allowed : {impossible, past_the_end}) {
        const auto drawn =
            sampler.sample(SampleInput{.logits = row, .params = params, .counts = {}, .index = 0, .end_tokens = {}, .allowed = allowed});
        ASSERT_FALSE(drawn.ok());
        EXPECT_NE(drawn.error().message.find("no token is left to choose"), std::string::npos) << drawn.error().message;
    }
}

TEST(Sampler, LogprobsAreOfTheModelsOwnDistribution) {
    std::mt19937_64 random(3);
    const std::vector<float> row = random_logits(random, 3001);
    double sum = 0;
    for (float x : row) {
        sum += std::exp(static_cast<double>(x));
    }
    std::vector<TokenId> order(row.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](TokenId a, TokenId b) { return row[static_cast<size_t>(a)] > row[static_cast<size_t>(b)]; });
    SamplingParams params;
    params.temperature = 0.1f;
    params.logit_bias = {{11, 50.0f}};   // it is drawn for sure, with the probability the model gave it
    params.logprobs = true;
    params.top_logprobs = 20;
    Sampler sampler;
    const auto allowed = only({11, 12}, row.size());
    const auto drawn =
        sampler.sample(SampleInput{.logits = row, .params = params, .counts = {}, .index = 0, .end_tokens = {}, .allowed = allowed});
    EXPECT_EQ(drawn->token, 11);
    EXPECT_NEAR(drawn->logprob->logprob, row[11] - std::log(sum), 1e-4);
    ASSERT_EQ(drawn->top_logprobs.size(), 20u);
    for (size_t i = 0; i < 20; ++i) {
        EXPECT_EQ(drawn->top_logprobs[i].token, order[i]);
        EXPECT_NEAR(drawn->top_logprobs[i].logprob, row[static_cast<size_t>(order[i])] - std::log(sum), 1e-4);
    }
}

}  // namespace
}  // namespace gantry::engine
