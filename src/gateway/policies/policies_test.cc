#include <gtest/gtest.h>

#include <random>
#include <string>

#include "gateway/policies/breaker.h"
#include "gateway/policies/choose.h"
#include "gateway/policies/pace.h"
#include "gateway/policies/prefix.h"
#include "gateway/policies/weighted.h"

namespace gantry::gateway {
namespace {

using namespace std::chrono_literals;

struct Case {
    const char* what;
    std::vector<Candidate> candidates;
    std::optional<size_t> preferred;
    uint64_t turn;
    std::optional<size_t> expected;
};

TEST(Choose, Cases) {
    const std::optional<size_t> none;
    const std::vector<Case> cases = {
        {"nobody", {}, none, 0, none},
        {"the only one", {{5}}, none, 7, 0},
        {"who is done first", {{3}, {1}, {2}}, none, 9, 1},
        {"equals, first turn", {{1}, {1.2}, {9}}, none, 0, 0},
        {"equals, second turn", {{1}, {1.2}, {9}}, none, 1, 1},
        {"equals, third turn", {{1}, {9}, {1.2}}, none, 3, 2},
        {"not a suspect, however idle", {{0, true}, {50}}, none, 0, 1},
        {"a suspect, if there is no other", {{0, true}, {50, false, true}}, none, 0, 0},
        {"the idler suspect", {{4, true}, {3, true}}, none, 0, 1},
        {"never one that is barred", {{0, false, true}, {7}}, none, 1, 1},
        {"all barred", {{0, false, true}, {0, true, true}}, none, 1, none},
        {"who has the beginning", {{1}, {1.9}}, 1, 0, 1},
        {"not at any price", {{1}, {2.1}}, 1, 0, 0},
        {"not when it is barred", {{1}, {1, false, true}}, 1, 0, 0},
        {"not when it is suspect", {{1}, {1, true}}, 1, 1, 0},
        {"not when it is gone", {{1}, {9}}, 7, 1, 0},
        {"nothing to do at all", {{0}, {0}}, none, 3, 1},
        {"a large turn", {{0}, {0}, {0}}, none, ~0ull, ~0ull % 3},
    };
    for (const Case& c : cases) EXPECT_EQ(choose_instance(c.candidates, c.preferred, c.turn), c.expected) << c.what;
}

TEST(Choose, NeverAMuchWorseOne) {
    std::mt19937 random(3);
    for (int round = 0; round < 5000; ++round) {
        std::vector<Candidate> candidates(random() % 8);
        for (Candidate& c : candidates) c = {static_cast<double>(random() % 40) / 8, random() % 4 == 0, random() % 4 == 0};
        const auto choice = choose_instance(candidates, random() % 8, random());
        bool any = false;
        for (const Candidate& c : candidates) {
            if (c.barred) continue;
            any = true;
            ASSERT_TRUE(choice);
            const Candidate& chosen = candidates[*choice];
            EXPECT_FALSE(chosen.barred);
            EXPECT_LE(chosen.suspect, c.suspect);
            if (chosen.suspect == c.suspect) {
                EXPECT_LE(chosen.drain_s, kAffinityWithin * c.drain_s);
            }
        }
        EXPECT_EQ(choice.has_value(), any);
    }
}

TEST(Pace, IsLearntFromWhatWasDone) {
    Pace pace;
    EXPECT_EQ(pace.of_one(), 0) << "not known";
    pace.done(5);
    pace.busy(1, 0.5);
    EXPECT_EQ(pace.of_one(), 0) << "half a second tells nothing yet";
    pace.busy(1, 9.5);
    pace.done(95);
    EXPECT_DOUBLE_EQ(pace.of_one(), 10);
    for (int minute = 0; minute < 30; ++minute) {
        pace.busy(1, 30);
        pace.done(600);
    }
    EXPECT_NEAR(pace.of_one(), 20, 0.5) << "what is long ago is forgotten";
}

TEST(Pace, OfABusyAndAnIdleInstanceAreTheSame) {
    Pace busy, idle;
    for (int second = 0; second < 10; ++second) {
        idle.busy(1, 1);
        idle.done(10);
        busy.busy(16, 1);
        busy.done(40);   // sqrt(16) times as much
    }
    EXPECT_DOUBLE_EQ(busy.of_one(), idle.of_one());
    busy.busy(0, 10);
    EXPECT_DOUBLE_EQ(busy.of_one(), idle.of_one()) << "idle time is no work";
    busy.busy(0, 1000);
    EXPECT_EQ(busy.of_one(), 0) << "and is forgotten in time";
}

TEST(Pace, SecondsToDrain) {
    EXPECT_DOUBLE_EQ(work_of(100, 50), 60);
    EXPECT_DOUBLE_EQ(seconds_to_drain(60, 1, 10), 6);
    EXPECT_DOUBLE_EQ(seconds_to_drain(60, 4, 10), 3);
    EXPECT_DOUBLE_EQ(seconds_to_drain(60, 0, 10), 6);
    EXPECT_LT(seconds_to_drain(100, 4, 40), seconds_to_drain(100, 4, 10)) << "the faster is done first";
}

TEST(Breaker, OpensAfterFailuresInARow) {
    SteadyTime now{};
    Breaker breaker;
    EXPECT_FALSE(breaker.failed(now));
    EXPECT_FALSE(breaker.failed(now));
    breaker.succeeded();
    EXPECT_FALSE(breaker.failed(now));
    EXPECT_FALSE(breaker.failed(now));
    EXPECT_TRUE(breaker.allows(now));
    EXPECT_FALSE(breaker.begin());
    EXPECT_TRUE(breaker.failed(now));
    EXPECT_FALSE(breaker.allows(now));
    EXPECT_FALSE(breaker.allows(now + 999ms));
    EXPECT_FALSE(breaker.failed(now + 500ms)) << "it was under way before";
    EXPECT_TRUE(breaker.allows(now + 1s));
}

TEST(Breaker, OneTriesAndItsAnswerCloses) {
    SteadyTime now{};
    Breaker breaker;
    for (int i = 0; i < 3; ++i) breaker.failed(now);
    now += 1s;
    EXPECT_TRUE(breaker.begin());
    EXPECT_FALSE(breaker.allows(now)) << "one is enough";
    breaker.gave_up();
    EXPECT_TRUE(breaker.allows(now));
    EXPECT_TRUE(breaker.begin());
    breaker.succeeded();
    EXPECT_TRUE(breaker.closed());
    EXPECT_TRUE(breaker.allows(now));
    EXPECT_FALSE(breaker.begin());
}

TEST(Breaker, StaysOpenLongerEachTime) {
    SteadyTime now{};
    Breaker breaker;
    for (int i = 0; i < 3; ++i) breaker.failed(now);
    for (const auto wait : {1s, 2s, 4s, 8s, 16s, 32s, 32s, 32s}) {
        EXPECT_EQ(breaker.open_until() - now, wait);
        now = breaker.open_until();
        EXPECT_TRUE(breaker.begin());
        EXPECT_TRUE(breaker.failed(now)) << "the one that tries is enough to open it again";
    }
    breaker.succeeded();
    for (int i = 0; i < 3; ++i) breaker.failed(now);
    EXPECT_EQ(breaker.open_until() - now, Breaker::kOpenFor) << "from the start again";
}

TEST(Prefix, ChainsAgreeAsFarAsTheTextsDo) {
    const std::string a(1000, 'a');
    const auto chain = prefix_chain(a, 1);
    EXPECT_EQ(chain.size(), 3u) << "whole chunks only";
    const auto longer = prefix_chain(a.substr(0, 600) + std::string(5000, 'b'), 1);
    EXPECT_EQ(chain[0], longer[0]);
    EXPECT_EQ(chain[1], longer[1]);
    EXPECT_NE(chain[2], longer[2]);
    EXPECT_NE(chain[0], chain[1]);
    EXPECT_NE(prefix_chain(a, 2)[0], chain[0]) << "another model";
    EXPECT_NE(prefix_chain("b" + a, 1)[1], chain[1]) << "the same text behind another";
    EXPECT_TRUE(prefix_chain(std::string(255, 'a'), 1).empty());
    EXPECT_EQ(prefix_chain(std::string(1 << 20, 'a'), 1).size(), kPrefixChunks);
}

TEST(Prefix, ThePromptIsFoundInABody) {
    EXPECT_EQ(prompt_of(R"({"model":"m","messages":[1]})"), "[1]}");
    EXPECT_EQ(prompt_of(R"({"user":"\"messages\":[0]","prompt":"x"})"), "\"x\"}") << "not within a text";
    EXPECT_EQ(prompt_of(R"({"input":"x"})"), "\"x\"}");
    EXPECT_EQ(prompt_of(R"({"query":"x"})"), "");
}

TEST(Prefix, OwnersAreRememberedByTheLongestPart) {
    PrefixOwners owners;
    const std::string shared(512, 's');
    const auto first = prefix_chain(shared + std::string(512, 'a'), 1);
    const auto second = prefix_chain(shared + std::string(512, 'b'), 1);
    EXPECT_FALSE(owners.find(first));
    owners.remember(first, 7);
    EXPECT_EQ(owners.find(first), 7u);
    EXPECT_EQ(owners.find(second), 7u) << "the shared part";
    owners.remember(second, 8);
    EXPECT_EQ(owners.find(second), 8u);
    EXPECT_EQ(owners.find(first), 7u) << "its own part is longer";
    EXPECT_FALSE(owners.find({}));
    owners.remember({}, 9);
    EXPECT_FALSE(owners.find(prefix_chain(shared, 2)));
}

TEST(Weighted, EachGetsItsShare) {
    const std::vector<uint32_t> weights = {1, 0, 3};
    std::vector<int> chosen(3);
    for (int i = 0; i < 400; ++i) ++chosen[*pick_weighted(weights, i / 400.0)];
    EXPECT_EQ(chosen, (std::vector<int>{100, 0, 300}));
    EXPECT_EQ(pick_weighted(weights, 0), 0u);
    EXPECT_EQ(pick_weighted(weights, 1), 2u) << "no rest of rounding is lost";
    EXPECT_EQ(pick_weighted({}, 0.5), std::nullopt);
    EXPECT_EQ(pick_weighted(std::vector<uint32_t>{0, 0}, 0.5), std::nullopt);
    EXPECT_EQ(pick_weighted(std::vector<uint32_t>{4'000'000'000, 4'000'000'000}, 0.75), 1u);
}

}  // namespace
}  // namespace gantry::gateway
