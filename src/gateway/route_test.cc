#include "gateway/route.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace gantry::gateway {
namespace {

struct Case {
    const char* what;
    std::vector<Candidate> candidates;
    uint64_t turn;
    std::optional<size_t> expected;
};

TEST(LeastLoaded, Cases) {
    const std::vector<Case> cases = {
        {"nobody", {}, 0, std::nullopt},
        {"the only one", {{5, false, false}}, 7, 0},
        {"the least loaded", {{3, false, false}, {1, false, false}, {2, false, false}}, 9, 1},
        {"equals, first turn", {{1, false, false}, {1, false, false}, {9, false, false}}, 0, 0},
        {"equals, second turn", {{1, false, false}, {1, false, false}, {9, false, false}}, 1, 1},
        {"equals, third turn", {{1, false, false}, {9, false, false}, {1, false, false}}, 3, 2},
        {"not a suspect, however idle", {{0, true, false}, {50, false, false}}, 0, 1},
        {"a suspect, if there is no other", {{0, true, false}, {50, false, true}}, 0, 0},
        {"the idler suspect", {{4, true, false}, {3, true, false}}, 0, 1},
        {"never one that was tried", {{0, false, true}, {7, false, false}}, 1, 1},
        {"all tried", {{0, false, true}, {0, true, true}}, 1, std::nullopt},
        {"a large turn", {{0, false, false}, {0, false, false}, {0, false, false}}, ~0ull, ~0ull % 3},
    };
    for (const Case& c : cases) EXPECT_EQ(least_loaded(c.candidates, c.turn), c.expected) << c.what;
}

TEST(LeastLoaded, NeverChoosesAWorseOne) {
    std::mt19937 random(3);
    for (int round = 0; round < 5000; ++round) {
        std::vector<Candidate> candidates(random() % 8);
        for (Candidate& c : candidates) c = {static_cast<uint32_t>(random() % 4), random() % 4 == 0, random() % 4 == 0};
        const auto choice = least_loaded(candidates, random());
        bool any = false;
        for (const Candidate& c : candidates) {
            if (c.tried) continue;
            any = true;
            ASSERT_TRUE(choice);
            const Candidate& chosen = candidates[*choice];
            EXPECT_FALSE(chosen.tried);
            EXPECT_LE(chosen.suspect, c.suspect);
            if (chosen.suspect == c.suspect) {
                EXPECT_LE(chosen.in_flight, c.in_flight);
            }
        }
        EXPECT_EQ(choice.has_value(), any);
    }
}

std::vector<Target> targets(int count) {
    std::vector<Target> out;
    for (int i = 0; i < count; ++i) out.push_back({InstanceId("ins_" + std::to_string(i)), "unix:/x", ""});
    return out;
}

TEST(Balancer, SpreadsIdleRequestsInTurn) {
    FakeClock clock;
    Balancer balancer(clock);
    std::map<size_t, int> chosen;
    for (int i = 0; i < 30; ++i) ++chosen[*balancer.choose(targets(3), std::vector<bool>(3))];
    EXPECT_EQ(chosen[0], 10);
    EXPECT_EQ(chosen[1], 10);
    EXPECT_EQ(chosen[2], 10);
}

TEST(Balancer, CountsLeasesAndForgetsThem) {
    FakeClock clock;
    Balancer balancer(clock);
    const InstanceId zero("ins_0");
    {
        Balancer::Lease first = balancer.lease(zero);
        Balancer::Lease moved = std::move(first);
        Balancer::Lease assigned;
        assigned = std::move(moved);
        EXPECT_EQ(balancer.in_flight(zero), 1u);
        EXPECT_EQ(balancer.choose(targets(2), std::vector<bool>(2)), 1u);
        EXPECT_EQ(balancer.choose(targets(2), std::vector<bool>(2)), 1u);
    }
    EXPECT_EQ(balancer.in_flight(zero), 0u);
}

TEST(Balancer, AvoidsASuspectForAWhile) {
    FakeClock clock;
    Balancer balancer(clock);
    balancer.suspect(InstanceId("ins_0"));
    for (int i = 0; i < 4; ++i) EXPECT_EQ(balancer.choose(targets(2), std::vector<bool>(2)), 1u);
    EXPECT_EQ(balancer.choose(targets(1), std::vector<bool>(1)), 0u);
    clock.advance(std::chrono::seconds(6));
    bool chosen = false;
    for (int i = 0; i < 2; ++i) chosen = chosen || balancer.choose(targets(2), std::vector<bool>(2)) == 0u;
    EXPECT_TRUE(chosen);
}

}  // namespace
}  // namespace gantry::gateway
