#include "control/auth/login_throttle.h"

#include <gtest/gtest.h>

namespace gantry::control {
namespace {

using namespace std::chrono_literals;

TEST(login_throttle, waits_double_after_the_free_ones) {
    FakeClock clock;
    LoginThrottle throttle(clock);
    for (int k = 0; k < LoginThrottle::kFreeByAccount; ++k) EXPECT_FALSE(throttle.admit("admin", "1.2.3.4")) << k;
    EXPECT_EQ(throttle.admit("admin", "1.2.3.4"), 1s);
    EXPECT_EQ(throttle.admit("admin", "1.2.3.4"), 1s) << "a refused attempt is not counted";
    clock.advance(1s);
    EXPECT_FALSE(throttle.admit("admin", "1.2.3.4"));
    EXPECT_EQ(throttle.admit("admin", "1.2.3.4"), 2s);
    for (int k = 0; k < 30; ++k) {
        clock.advance(throttle.admit("admin", "1.2.3.4").value_or(0s));
    }
    EXPECT_LE(throttle.admit("admin", "1.2.3.4").value_or(0s), LoginThrottle::kWaitMax);
}

TEST(login_throttle, nobody_locks_another_out) {
    FakeClock clock;
    LoginThrottle throttle(clock);
    for (int k = 0; k < 100; ++k) throttle.admit("admin", "6.6.6.6");
    EXPECT_TRUE(throttle.admit("admin", "6.6.6.6"));
    EXPECT_FALSE(throttle.admit("admin", "1.2.3.4"));
}

TEST(login_throttle, an_ipv6_network_is_one_peer) {
    FakeClock clock;
    LoginThrottle throttle(clock);
    int admitted = 0;
    for (int k = 0; k < 100; ++k) admitted += throttle.admit("admin", "2001:db8::" + std::to_string(k)) ? 0 : 1;
    EXPECT_EQ(admitted, LoginThrottle::kFreeByAccount);
    EXPECT_FALSE(throttle.admit("admin", "2001:db8:0:1::1")) << "the next network";
    throttle.succeeded("admin", "2001:db8::ffff");
    clock.advance(LoginThrottle::kWaitMax);
    EXPECT_FALSE(throttle.admit("admin", "2001:db8::1")) << "forgiven by its neighbour's success";
    EXPECT_FALSE(throttle.admit("admin", "2001:db8::2"));
}

TEST(login_throttle, one_peer_cannot_walk_through_accounts) {
    FakeClock clock;
    LoginThrottle throttle(clock);
    int admitted = 0;
    for (int k = 0; k < 1000; ++k) admitted += throttle.admit("user" + std::to_string(k), "6.6.6.6") ? 0 : 1;
    EXPECT_EQ(admitted, LoginThrottle::kFreeByPeer);
}

TEST(login_throttle, success_forgives) {
    FakeClock clock;
    LoginThrottle throttle(clock);
    for (int k = 0; k < 100; ++k) {
        ASSERT_FALSE(throttle.admit("admin", "1.2.3.4"));
        throttle.succeeded("admin", "1.2.3.4");
    }
    EXPECT_EQ(throttle.entries(), 0u);
}

TEST(login_throttle, forgets_and_stays_bounded) {
    FakeClock clock;
    LoginThrottle throttle(clock);
    while (!throttle.admit("admin", "1.2.3.4")) {
    }
    clock.advance(LoginThrottle::kForgetAfter + 1s);
    EXPECT_FALSE(throttle.admit("admin", "1.2.3.4"));
    for (size_t k = 0; k < 3 * LoginThrottle::kEntriesMax; ++k) {
        throttle.admit(std::string(1000, 'a') + std::to_string(k), "peer" + std::to_string(k));
        clock.advance(1ms);
    }
    EXPECT_LE(throttle.entries(), LoginThrottle::kEntriesMax + 2);
}

}  // namespace
}  // namespace gantry::control
