#include "bench/shape.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "bench/workload.h"

namespace gantry::bench {
namespace {

Shape shape(uint32_t requests) {
    Shape made;
    made.requests = requests;
    return made;
}

size_t words(const std::string& text) { return 1 + size_t(std::count(text.begin(), text.end(), ' ')); }

TEST(Shape, ARangeIsReadOrRefused) {
    EXPECT_EQ(parse_range("300")->least, 300u);
    EXPECT_EQ(parse_range("300")->most, 300u);
    EXPECT_EQ(parse_range("128-1024")->least, 128u);
    EXPECT_EQ(parse_range("128-1024")->most, 1024u);
    for (const char* wrong : {"", "0", "-", "5-", "-5", "9-5", "a", "1-2-3", "1,2", "1000001", "5 - 9"}) {
        EXPECT_FALSE(parse_range(wrong)) << wrong;
    }
}

TEST(Shape, LengthsStayInTheirRangesAndReachBothEnds) {
    Shape mixed = shape(2000);
    mixed.prompt_tokens = {40, 44};
    mixed.output_tokens = {3, 5};
    const Workload workload = bench_workload(mixed, 7).value();
    EXPECT_EQ(std::set<uint32_t>(workload.output_tokens.begin(), workload.output_tokens.end()), (std::set<uint32_t>{3, 4, 5}));
    std::set<size_t> lengths;
    for (const std::string& prompt : workload.prompts) {
        lengths.insert(words(prompt));
    }
    EXPECT_EQ(*lengths.rbegin() - *lengths.begin(), 3u) << "25 to 28 words before the task";
    EXPECT_EQ(workload.prompts, bench_workload(mixed, 7)->prompts) << "repeatable by its nonce";
    EXPECT_NE(workload.prompts, bench_workload(mixed, 8)->prompts);
}

TEST(Shape, HalfOfThePromptsShareTheirFrontWithinTheSameLength) {
    Shape half = shape(400);
    half.prompt_tokens = {300, 300};
    half.shared_tokens = 200;
    half.shared_share = 0.5;
    const Workload workload = bench_workload(half, 7).value();
    const std::string shared = shared_text(7, 200);
    size_t sharing = 0;
    std::set<std::string> own;
    for (const std::string& prompt : workload.prompts) {
        sharing += prompt.starts_with(shared) ? 1 : 0;
        own.insert(prompt.starts_with(shared) ? prompt.substr(shared.size()) : prompt);
        EXPECT_NEAR(double(words(prompt)), 260, 4);
    }
    EXPECT_NEAR(double(sharing), 200, 50);   // Five standard deviations.
    EXPECT_EQ(own.size(), 400u);
    half.shared_tokens = 500;
    half.shared_share = 1;
    const Workload crowded = bench_workload(half, 7).value();
    for (const std::string& prompt : crowded.prompts) {
        EXPECT_GT(words(prompt), words(shared_text(7, 500)) + 8) << "a front longer than the prompt leaves room for its own text";
    }
}

TEST(Shape, ArrivalsAreExponentialAndKeepTheirProportionsAtAnotherRate) {
    Shape open = shape(4000);
    open.rate = 2;
    const Workload workload = bench_workload(open, 7).value();
    const std::vector<double>& at = workload.arrivals_s;
    ASSERT_EQ(at.size(), 4000u);
    EXPECT_TRUE(std::is_sorted(at.begin(), at.end()));
    EXPECT_DOUBLE_EQ(workload.offered_rate, 4000 / at.back());
    EXPECT_NEAR(at.back() / 4000, 0.5, 0.04) << "mean gap: 1 / rate, five standard errors";
    double squares = at[0] * at[0];
    for (size_t i = 1; i < at.size(); ++i) {
        squares += (at[i] - at[i - 1]) * (at[i] - at[i - 1]);
    }
    EXPECT_NEAR(squares / 4000, 0.5, 0.1) << "an exponential gap's mean square is 2 / rate squared";
    open.rate = 4;
    open.prompt_tokens = {50, 90};
    const std::vector<double> faster = bench_workload(open, 7)->arrivals_s;
    for (size_t i = 0; i < at.size(); i += 500) {
        EXPECT_NEAR(faster[i] * 2, at[i], 1e-9);
    }
}

TEST(Shape, ALatePromptComesAfterStreamsThatStartAtOnce) {
    Shape streams = shape(8);
    streams.prompt_tokens = {40, 40};
    streams.output_tokens = {160, 160};
    streams.late_tokens = 800;
    streams.late_after_s = 2.5;
    const Workload workload = bench_workload(streams, 7).value();
    ASSERT_EQ(workload.requests, 9u);
    EXPECT_THAT(workload.arrivals_s, testing::ElementsAre(0, 0, 0, 0, 0, 0, 0, 0, 2.5));
    EXPECT_EQ(workload.offered_rate, 0) << "nothing came by a rate";
    EXPECT_EQ(workload.output_tokens[7], 160u);
    EXPECT_EQ(workload.output_tokens[8], 16u);
    EXPECT_NEAR(double(words(workload.prompts[8])), 713, 3);
}

TEST(Shape, ChatsBeginLongAndGoOnShort) {
    Shape chats = shape(12);
    chats.turns = 3;
    chats.turn_tokens = 40;
    const Workload workload = bench_workload(chats, 7).value();
    EXPECT_EQ(workload.turns, 3u);
    for (uint32_t i = 0; i < 12; ++i) {
        EXPECT_NEAR(double(words(workload.prompts[i])), i % 3 == 0 ? 263 : 30, 3);
    }
}

TEST(Shape, WhatExcludesEachOtherIsRefused) {
    const auto refused = [](auto change) {
        Shape wrong = shape(4);
        change(wrong);
        return !bench_workload(wrong, 1);
    };
    EXPECT_FALSE(refused([](Shape&) {}));
    EXPECT_TRUE(refused([](Shape& s) { s.turns = 2; s.rate = 1; }));
    EXPECT_TRUE(refused([](Shape& s) { s.turns = 2; s.shared_tokens = 10; }));
    EXPECT_TRUE(refused([](Shape& s) { s.late_tokens = 10; s.rate = 1; }));
    EXPECT_TRUE(refused([](Shape& s) { s.late_tokens = 10; s.turns = 2; }));
    EXPECT_TRUE(refused([](Shape& s) { s.shared_share = 1.5; }));
    EXPECT_TRUE(refused([](Shape& s) { s.requests = 0; }));
    EXPECT_TRUE(refused([](Shape& s) { s.prompt_tokens = {9, 5}; }));
}

}  // namespace
}  // namespace gantry::bench
