#include "gateway/throttle.h"

#include <gtest/gtest.h>

namespace gantry::gateway {
namespace {

TEST(Throttle, LetsABurstPassThenRefusesAndRecovers) {
    FakeClock clock;
    Throttle throttle;
    for (int i = 0; i < Throttle::kBurst; ++i) EXPECT_EQ(throttle.failed("a", clock.steady()), 0) << i;
    const int wait = throttle.failed("a", clock.steady());
    EXPECT_GE(wait, 1);
    EXPECT_LE(wait, 3);
    EXPECT_EQ(throttle.failed("b", clock.steady()), 0) << "another source has an account of its own";
    clock.advance(std::chrono::seconds(wait));
    EXPECT_EQ(throttle.failed("a", clock.steady()), 0);
    EXPECT_GT(throttle.failed("a", clock.steady()), 0);
    clock.advance(std::chrono::minutes(5));
    for (int i = 0; i < Throttle::kBurst; ++i) EXPECT_EQ(throttle.failed("a", clock.steady()), 0) << i;
}

TEST(Throttle, KeepsBoundedMemoryAndStillThrottlesTheRest) {
    FakeClock clock;
    Throttle throttle;
    int refused = 0;
    for (size_t i = 0; i < 10 * Throttle::kSourcesMax; ++i) refused += throttle.failed(std::to_string(i), clock.steady()) > 0;
    EXPECT_LE(throttle.sources(), Throttle::kSourcesMax);
    EXPECT_GT(refused, 0);
    clock.advance(std::chrono::minutes(5));
    EXPECT_EQ(throttle.failed("new", clock.steady()), 0);
    EXPECT_LE(throttle.sources(), 2u);
}

TEST(Throttle, ASourceIsAnIPv4AddressOrAnIPv6Network) {
    EXPECT_EQ(peer_source("10.1.2.3"), "10.1.2.3");
    EXPECT_EQ(peer_source("2001:db8::1"), peer_source("2001:db8::ffff:2"));
    EXPECT_NE(peer_source("2001:db8::1"), peer_source("2001:db8:0:1::1"));
    EXPECT_NE(peer_source("::ffff:1.2.3.4"), peer_source("::ffff:1.2.3.5"));
    EXPECT_EQ(peer_source("unix"), "unix");
}

}  // namespace
}  // namespace gantry::gateway
