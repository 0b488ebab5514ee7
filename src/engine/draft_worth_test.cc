#include "engine/draft_worth.h"

#include <gtest/gtest.h>

namespace gantry::engine {
namespace {

// Steps out of `steps` in which the drafter was asked.
uint32_t asked(DraftWorth& worth, uint32_t steps, double guess_ms, double saved_ms) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < steps; ++i) {
        if (worth.ask()) {
            ++count;
            worth.observe(guess_ms, saved_ms, 10);
        }
    }
    return count;
}

TEST(DraftWorth, GuessesThatPayAreAskedForAlways) {
    DraftWorth worth;
    EXPECT_EQ(asked(worth, 1'000, 2, 3), 1'000U);
}

TEST(DraftWorth, GuessesThatCostNextToNothingToo) {
    DraftWorth worth;
    EXPECT_EQ(asked(worth, 1'000, 0.01, 0), 1'000U);
}

TEST(DraftWorth, ThoseThatCostMoreThanTheySaveAreTriedNowAndThen) {
    DraftWorth worth;
    const uint32_t count = asked(worth, 4'000, 3, 1);
    EXPECT_LT(count, 50U);
    EXPECT_GT(count, 20U);
    EXPECT_GT(asked(worth, 4'000, 1, 3), 2'900U) << "and used again as soon as one try shows that they pay";
}

}  // namespace
}  // namespace gantry::engine
