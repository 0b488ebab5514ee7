#include <gtest/gtest.h>

#include "bench/bench.h"

namespace gantry::bench {
namespace {

TEST(Statistics, NothingGivesZeros) {
    const Summary summary = summarize({});
    EXPECT_EQ(summary.mean, 0);
    EXPECT_EQ(summary.p50, 0);
    EXPECT_EQ(summary.max, 0);
}

TEST(Statistics, OneValueIsEveryPercentile) {
    const Summary summary = summarize({7});
    EXPECT_EQ(summary.mean, 7);
    EXPECT_EQ(summary.p50, 7);
    EXPECT_EQ(summary.p90, 7);
    EXPECT_EQ(summary.p99, 7);
    EXPECT_EQ(summary.max, 7);
}

// By hand: n = 10, sorted 1..10. ceil(0.5*10) = 5th = 5; ceil(0.9*10) = 9th = 9; ceil(0.99*10) = 10th = 10.
TEST(Statistics, NearestRankOfTenUnsortedValues) {
    const Summary summary = summarize({10, 3, 7, 1, 9, 5, 2, 8, 4, 6});
    EXPECT_DOUBLE_EQ(summary.mean, 5.5);
    EXPECT_EQ(summary.p50, 5);
    EXPECT_EQ(summary.p90, 9);
    EXPECT_EQ(summary.p99, 10);
    EXPECT_EQ(summary.max, 10);
}

// By hand: n = 200: p50 = 100th, p90 = 180th, p99 = 198th.
TEST(Statistics, NearestRankOfTwoHundred) {
    std::vector<double> values;
    for (int i = 200; i >= 1; --i) {
        values.push_back(i);
    }
    const Summary summary = summarize(values);
    EXPECT_EQ(summary.p50, 100);
    EXPECT_EQ(summary.p90, 180);
    EXPECT_EQ(summary.p99, 198);
    EXPECT_EQ(summary.max, 200);
}

RequestSample sample(std::vector<double> token_ms, uint32_t output_tokens) {
    RequestSample made;
    made.ok = true;
    made.ttft_ms = token_ms.front();
    made.e2e_ms = token_ms.back();
    made.token_ms = std::move(token_ms);
    made.output_tokens = output_tokens;
    made.prompt_tokens = 300;
    made.cached_tokens = 16;
    made.counted_from_usage = true;
    return made;
}

// By hand. First request: TTFT 100, ends at 160 with 4 tokens: TPOT 60/3 = 20, gaps 10, 20, 30.
// Second: TTFT 200, ends at 240 with 3 tokens: TPOT 40/2 = 20, gaps 20, 20.
TEST(Statistics, ARunByHand) {
    bench::Run run;
    run.concurrency = 2;
    run.wall_s = 0.25;
    run.samples.push_back(sample({100, 110, 130, 160}, 4));
    run.samples.push_back(sample({200, 220, 240}, 3));
    RequestSample failed;
    failed.error = "refused";
    failed.e2e_ms = 99999;
    run.samples.push_back(failed);
    finish(run);
    EXPECT_EQ(run.requests_ok, 2u);
    EXPECT_EQ(run.requests_failed, 1u);
    EXPECT_EQ(run.prompt_tokens, 600u);
    EXPECT_EQ(run.cached_tokens, 32u);
    EXPECT_EQ(run.output_tokens, 7u);
    EXPECT_DOUBLE_EQ(run.throughput_tok_s, 28);
    EXPECT_DOUBLE_EQ(run.ttft_ms.mean, 150);
    EXPECT_DOUBLE_EQ(run.tpot_ms.mean, 20);
    EXPECT_DOUBLE_EQ(run.itl_ms.mean, 20);
    EXPECT_DOUBLE_EQ(run.itl_ms.max, 30);
    EXPECT_DOUBLE_EQ(run.e2e_ms.max, 240) << "a failed request has no latency";
}

TEST(Statistics, AnAnswerOfOneTokenHasNoTpot) {
    bench::Run run;
    run.wall_s = 1;
    run.samples.push_back(sample({50}, 1));
    finish(run);
    EXPECT_EQ(run.tpot_ms.max, 0);
    EXPECT_EQ(run.itl_ms.max, 0);
    EXPECT_DOUBLE_EQ(run.ttft_ms.mean, 50);
}

TEST(Statistics, RoundsAddUp) {
    bench::Run all;
    for (int round = 0; round < 3; ++round) {
        bench::Run one;
        one.concurrency = 1;
        one.wall_s = 0.5;
        one.samples.push_back(sample({100, 200}, 2));
        finish(one);
        append_round(all, std::move(one));
    }
    EXPECT_EQ(all.requests_ok, 3u);
    EXPECT_DOUBLE_EQ(all.wall_s, 1.5);
    EXPECT_DOUBLE_EQ(all.throughput_tok_s, 4);
    EXPECT_DOUBLE_EQ(all.samples[2].start_s, 1.0);
}

// By hand: TTFT 100 and TPOT 20; TTFT 200 and TPOT 20; a failure; one token, so no TPOT.
TEST(Statistics, GoodputCountsWhatKeptBothLimits) {
    bench::Run run;
    run.wall_s = 2;
    run.samples = {sample({100, 110, 130, 160}, 4), sample({200, 220, 240}, 3), RequestSample{}, sample({90}, 1)};
    finish(run);
    EXPECT_EQ(run.slo_met, 0u) << "no SLO, no goodput";
    const auto met = [&](double ttft_ms, double tpot_ms) {
        run.slo = Slo{ttft_ms, tpot_ms};
        finish(run);
        return run.slo_met;
    };
    EXPECT_EQ(met(0, 0), 3u);
    EXPECT_EQ(met(100, 20), 2u);
    EXPECT_EQ(met(99, 20), 1u);
    EXPECT_EQ(met(300, 19), 1u);
    EXPECT_EQ(met(300, 0), 3u);
}

}  // namespace
}  // namespace gantry::bench
