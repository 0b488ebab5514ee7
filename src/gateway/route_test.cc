#include "gateway/route.h"

#include <gtest/gtest.h>

#include <map>

namespace gantry::gateway {
namespace {

using namespace std::chrono_literals;
using Why = Balancer::Choice::Why;

constexpr uint32_t kQueue = 4;

class BalancerTest : public testing::Test {
protected:
    static Target target(int number) { return {InstanceId("ins_" + std::to_string(number)), "unix:/x", "", {}}; }
    static std::vector<Target> targets(int count) {
        std::vector<Target> out;
        for (int i = 0; i < count; ++i) out.push_back(target(i));
        return out;
    }
    Balancer::Choice choose(int count, const Demand& demand = {}) {
        return balancer_.choose(targets(count), std::vector<bool>(static_cast<size_t>(count)), demand);
    }
    void fail(int number, int times) {
        for (int i = 0; i < times; ++i) balancer_.lease(target(number), {}).failed();
    }

    FakeClock clock_;
    Balancer balancer_{clock_, kQueue};
};

TEST_F(BalancerTest, SpreadsIdleRequestsInTurn) {
    std::map<size_t, int> chosen;
    for (int i = 0; i < 30; ++i) ++chosen[choose(3).index];
    EXPECT_EQ(chosen[0], 10);
    EXPECT_EQ(chosen[1], 10);
    EXPECT_EQ(chosen[2], 10);
}

TEST_F(BalancerTest, CountsLeasesAndForgetsThem) {
    const InstanceId zero("ins_0");
    {
        Balancer::Lease first = balancer_.lease(target(0), {});
        Balancer::Lease moved = std::move(first);
        Balancer::Lease assigned;
        assigned = std::move(moved);
        EXPECT_EQ(balancer_.in_flight(zero), 1u);
        EXPECT_EQ(choose(2).index, 1u);
        EXPECT_EQ(choose(2).index, 1u);
    }
    EXPECT_EQ(balancer_.in_flight(zero), 0u);
}

TEST_F(BalancerTest, TheAmountOfWorkDecidesNotTheNumberOfRequests) {
    Demand large, small;
    large.prompt_tokens = 30'000;
    large.max_tokens = small.max_tokens = 10;
    small.prompt_tokens = 20;
    Balancer::Lease one = balancer_.lease(target(0), large);
    Balancer::Lease two = balancer_.lease(target(1), small);
    Balancer::Lease three = balancer_.lease(target(1), small);
    EXPECT_EQ(choose(2, small).index, 1u);
    one.progress(1);   // the prompt is read
    EXPECT_EQ(choose(2, small).index, 0u);
}

TEST_F(BalancerTest, AnAnswerThatIsLongerThanMostStillCounts) {
    Demand demand;
    demand.mean_answer = 10;
    demand.max_tokens = 900;
    demand.prefix = prefix_chain(std::string(2000, 'p'), 1);
    const size_t first = choose(2, demand).index;
    std::vector<Balancer::Lease> held;
    for (int i = 0; i < 3; ++i) {
        held.push_back(balancer_.lease(target(static_cast<int>(first)), demand));
        held.back().progress(300);
    }
    EXPECT_NE(choose(2, demand).index, first);
    for (Balancer::Lease& lease : held) lease.progress(900);   // all that they may write
    Demand other;
    other.mean_answer = 10;
    Balancer::Lease elsewhere = balancer_.lease(target(static_cast<int>(1 - first)), other);
    EXPECT_EQ(choose(2, other).index, first);
    held.clear();
}

TEST_F(BalancerTest, TheFasterInstanceGetsMore) {
    Demand demand;
    demand.max_tokens = 100;
    for (int round = 0; round < 5; ++round) {   // alone on each: 100 tokens a second, and 20
        Balancer::Lease fast = balancer_.lease(target(0), demand);
        Balancer::Lease slow = balancer_.lease(target(1), demand);
        clock_.advance(1s);
        fast.settle(0, 100);
        slow.settle(0, 20);
    }
    std::vector<Balancer::Lease> held;
    std::map<size_t, int> chosen;
    for (int i = 0; i < 4; ++i) {
        const size_t index = choose(2, demand).index;
        ++chosen[index];
        held.push_back(balancer_.lease(target(static_cast<int>(index)), demand));
    }
    EXPECT_GE(chosen[0], 3);
}

TEST_F(BalancerTest, OneThatWasSlowForAWhileIsTriedAgain) {
    Demand demand;
    demand.max_tokens = 100;
    {
        Balancer::Lease slow = balancer_.lease(target(1), demand);
        clock_.advance(8s);
        slow.settle(0, 20);
    }
    std::map<size_t, int> chosen;
    for (int second = 0; second < 60; ++second) {   // one request at a time, for which one instance is enough
        const size_t index = choose(2, demand).index;
        ++chosen[index];
        Balancer::Lease lease = balancer_.lease(target(static_cast<int>(index)), demand);
        clock_.advance(1s);
        lease.settle(0, 100);
        if (second == 5) {
            EXPECT_EQ(chosen[1], 0) << "it is avoided";
        }
    }
    EXPECT_GE(chosen[1], 10) << "and then does as well as the other";
}

TEST_F(BalancerTest, TheTimeBeforeAFailureSaysNothingOfThePaceAfterIt) {
    Demand demand;
    demand.max_tokens = 100;
    {
        Balancer::Lease fine = balancer_.lease(target(0), demand);
        Balancer::Lease cut_off = balancer_.lease(target(1), demand);
        clock_.advance(8s);
        fine.settle(0, 800);
        cut_off.failed();
    }
    clock_.advance(6s);   // no suspect any more
    EXPECT_NE(choose(2, demand).index, choose(2, demand).index) << "in turn";
}

TEST_F(BalancerTest, APromptGoesWhereItsBeginningWas) {
    Demand demand;
    demand.prefix = prefix_chain(std::string(2000, 'p'), 1);
    const size_t first = choose(3, demand).index;
    for (int i = 0; i < 5; ++i) EXPECT_EQ(choose(3, demand).index, first);
    std::vector<Balancer::Lease> held;
    for (uint32_t i = 0; i < kQueue; ++i) held.push_back(balancer_.lease(target(static_cast<int>(first)), demand));
    EXPECT_NE(choose(3, demand).index, first) << "balance goes before";
}

TEST_F(BalancerTest, AvoidsASuspectForAWhile) {
    fail(0, 1);
    for (int i = 0; i < 4; ++i) EXPECT_EQ(choose(2).index, 1u);
    EXPECT_EQ(choose(1).index, 0u);
    clock_.advance(6s);
    bool chosen = false;
    for (int i = 0; i < 2; ++i) chosen = chosen || choose(2).index == 0;
    EXPECT_TRUE(chosen);
}

TEST_F(BalancerTest, AFullQueueIsSaid) {
    std::vector<Balancer::Lease> held;
    for (int i = 0; i < 2 * static_cast<int>(kQueue); ++i) {
        const Balancer::Choice choice = choose(2);
        ASSERT_EQ(choice.why, Why::kChosen);
        held.push_back(balancer_.lease(target(static_cast<int>(choice.index)), {}));
    }
    EXPECT_EQ(choose(2).why, Why::kFull);
    EXPECT_GE(choose(2).retry_after_s, 1);
    held.pop_back();
    EXPECT_EQ(choose(2).why, Why::kChosen);
    EXPECT_EQ(balancer_.choose(targets(1), {true}, {}).why, Why::kTried);
}

TEST_F(BalancerTest, ACircuitOpensAndOneRequestClosesIt) {
    fail(0, 3);
    EXPECT_EQ(choose(1).why, Why::kBroken);
    EXPECT_EQ(choose(1).retry_after_s, 1);
    EXPECT_EQ(choose(2).index, 1u);
    clock_.advance(1s);
    ASSERT_EQ(choose(1).why, Why::kChosen);
    {
        Balancer::Lease left = balancer_.lease(target(0), {});
        EXPECT_EQ(choose(1).why, Why::kBroken) << "one tries, the others wait";
    }
    ASSERT_EQ(choose(1).why, Why::kChosen) << "its client left: the next one tries";
    Balancer::Lease tries = balancer_.lease(target(0), {});
    tries.answered();
    EXPECT_EQ(choose(1).why, Why::kChosen);
}

TEST_F(BalancerTest, SuccessesBetweenFailuresKeepItClosed) {
    for (int i = 0; i < 5; ++i) {
        fail(0, 2);
        balancer_.lease(target(0), {}).answered();
    }
    EXPECT_EQ(choose(1).why, Why::kChosen);
    Balancer::Lease broken = balancer_.lease(target(0), {});
    broken.answered();
    EXPECT_FALSE(broken.failed());
    EXPECT_FALSE(broken.failed()) << "one failure a request";
}

TEST_F(BalancerTest, AnInstanceThatWasStartedAgainIsTrusted) {
    fail(0, 3);
    EXPECT_EQ(choose(1).why, Why::kBroken);
    std::vector<Target> again = targets(1);
    again[0].since = from_unix_ms(1'700'000'000'000);
    EXPECT_EQ(balancer_.choose(again, {false}, {}).why, Why::kChosen);
}

}  // namespace
}  // namespace gantry::gateway
