#include "gateway/activity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gantry::gateway {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

const DeploymentId kChat("chat"), kOther("other");

class ActivityTest : public testing::Test {
protected:
    std::vector<DeploymentId> close(Duration idle = 60s) { return activity_.close_idle({{kChat, idle}}); }

    FakeClock clock_;
    Activity activity_{clock_};
};

TEST_F(ActivityTest, WhatNobodyAskedForIsIdleSinceTheStart) {
    clock_.advance(59s);
    EXPECT_THAT(close(), IsEmpty());
    clock_.advance(1s);
    EXPECT_THAT(close(), ElementsAre(kChat));
    EXPECT_TRUE(activity_.closed(kChat));
    EXPECT_FALSE(activity_.closed(kOther));
    EXPECT_THAT(close(), IsEmpty()) << "it is closed already";
}

TEST_F(ActivityTest, TheLastRequestsEndCounts) {
    clock_.advance(1h);
    Activity::Use first = activity_.use(kChat);
    {
        const Activity::Use second = activity_.use(kChat);
        clock_.advance(1h);
        EXPECT_THAT(close(), IsEmpty()) << "two are under way";
    }
    clock_.advance(1h);
    EXPECT_THAT(close(), IsEmpty()) << "one is";
    first = {};
    clock_.advance(59s);
    EXPECT_THAT(close(), IsEmpty());
    clock_.advance(1s);
    EXPECT_THAT(close(), ElementsAre(kChat));
}

TEST_F(ActivityTest, OnesRequestsKeepNoOtherAwake) {
    const Activity::Use use = activity_.use(kOther);
    clock_.advance(1h);
    EXPECT_THAT(activity_.close_idle({{kOther, 1s}, {kChat, 1s}}), ElementsAre(kChat));
}

TEST_F(ActivityTest, AUseMovesAndEndsOnce) {
    Activity::Use here = activity_.use(kChat);
    Activity::Use there = std::move(here);
    here = {};
    clock_.advance(1h);
    EXPECT_THAT(close(), IsEmpty());
    there = activity_.use(kOther);   // the first ends
    clock_.advance(1h);
    EXPECT_THAT(close(), ElementsAre(kChat));
}

TEST_F(ActivityTest, OpenedItIsAsBefore) {
    int heard = 0;
    activity_.on_open([&heard] { ++heard; });
    clock_.advance(1h);
    EXPECT_THAT(close(), ElementsAre(kChat));
    activity_.open({});
    EXPECT_EQ(heard, 0);
    activity_.open({kChat, DeploymentId("nobody's")});
    EXPECT_EQ(heard, 1);
    EXPECT_FALSE(activity_.closed(kChat));
    EXPECT_THAT(close(), ElementsAre(kChat));
}

}  // namespace
}  // namespace gantry::gateway
