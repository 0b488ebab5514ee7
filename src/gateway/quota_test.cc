#include "gateway/quota.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gantry::gateway {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using Reason = Quota::Reason;

constexpr SteadyTime kStart = SteadyTime(1000s);

TEST(BucketTest, StartsFullAndRefillsEvenly) {
    Bucket bucket;
    for (int i = 0; i < 6; ++i) {
        EXPECT_EQ(bucket.wait(6, 1, kStart), 0ns) << i;
        EXPECT_EQ(bucket.left(6, kStart), 6u - static_cast<unsigned>(i));
        bucket.take(6, 1, kStart);
    }
    EXPECT_EQ(bucket.left(6, kStart), 0u);
    EXPECT_EQ(bucket.wait(6, 1, kStart), 10s);
    EXPECT_EQ(bucket.until_full(kStart), 60s);
    EXPECT_EQ(bucket.wait(6, 1, kStart + 10s - 1ms), 1ms);
    EXPECT_EQ(bucket.left(6, kStart + 9s), 0u);
    EXPECT_EQ(bucket.left(6, kStart + 10s), 1u);
    EXPECT_EQ(bucket.wait(6, 2, kStart + 10s), 10s);
    EXPECT_EQ(bucket.left(6, kStart + 60s), 6u);
    EXPECT_EQ(bucket.left(6, kStart + 1h), 6u) << "no more than full";
}

// What a minute brings, over hours: never over the limit but for the first full bucket.
TEST(BucketTest, LetsTheLimitPassInEachMinute) {
    for (const uint64_t limit : {uint64_t{1}, uint64_t{7}, uint64_t{61}, uint64_t{1000}}) {
        Bucket bucket;
        uint64_t passed = 0;
        SteadyTime now = kStart;
        for (; now < kStart + 10min; now += 7ms) {
            if (bucket.wait(limit, 1, now) > 0ns) continue;
            bucket.take(limit, 1, now);
            ++passed;
        }
        EXPECT_GE(passed, limit * 10 + limit - 1) << limit;
        EXPECT_LE(passed, limit * 11) << limit;
    }
}

TEST(BucketTest, DebtIsPaidBack) {
    Bucket bucket;
    bucket.take(100, 350, kStart);
    EXPECT_EQ(bucket.left(100, kStart), 0u);
    EXPECT_EQ(bucket.wait(100, 1, kStart), 3min - 30s + 600ms) << "250 of debt and one more";
    EXPECT_EQ(bucket.wait(100, 100, kStart), 210s);
    EXPECT_EQ(bucket.wait(100, 1'000'000, kStart), 210s) << "more than a bucket holds needs a full one";
    bucket.give_back(100, 300);
    EXPECT_EQ(bucket.left(100, kStart), 50u);
    bucket.give_back(100, 300);
    EXPECT_EQ(bucket.left(100, kStart), 100u) << "not more than full";
}

TEST(BucketTest, TheLargestNumbersDoNotOverflow) {
    Bucket bucket;
    bucket.take(1, UINT64_MAX, kStart);
    EXPECT_EQ(bucket.wait(1, 1, kStart), 24h) << "one request's debt ends there";
    Bucket wide;
    EXPECT_EQ(wide.left(kLimitMax, kStart), kLimitMax);
    wide.take(kLimitMax, kLimitMax, kStart);
    EXPECT_EQ(wide.left(kLimitMax, kStart), 0u);
    EXPECT_EQ(wide.until_full(kStart), 60s);
    EXPECT_EQ(wide.wait(0, 1, kStart), 60s) << "0 is no limit that can be set; it is read as 1";
}

TEST(MonthTest, BeginsAtMidnightInUtc) {
    EXPECT_EQ(to_rfc3339(begin_of(month_of(from_rfc3339("2026-02-28T23:59:59.999Z")))), "2026-02-01T00:00:00.000Z");
    const int december = month_of(from_rfc3339("2026-12-31T23:59:59.999Z"));
    EXPECT_EQ(month_of(from_rfc3339("2027-01-01T00:00:00.000Z")), december + 1);
    EXPECT_EQ(to_rfc3339(begin_of(december + 1)), "2027-01-01T00:00:00.000Z");
}

class QuotaTest : public testing::Test {
protected:
    static Principal who(const Limits& key, const Limits& user = {}, const std::string& key_id = "key_1") {
        Principal principal;
        principal.user_id = UserId("usr_1");
        principal.key_id = ApiKeyId(key_id);
        principal.allowance = std::make_shared<Allowance>(Allowance{.key = key, .user = user});
        return principal;
    }
    // A lease, or the refusal in refusal_.
    std::optional<Quota::Lease> admit(const Principal& principal, uint64_t bytes = 4) {
        Quota::Lease lease;
        refusal_ = quota_.admit(principal, bytes, lease);
        if (refusal_) return std::nullopt;
        return lease;
    }
    // A whole request.
    bool use(const Principal& principal, uint64_t tokens = 1, uint64_t bytes = 4) {
        auto lease = admit(principal, bytes);
        if (lease) lease->settle(tokens);
        return lease.has_value();
    }
    void load(std::vector<TokensUsed> used = {}, bool first = false) {
        const Quota::Load load = quota_.begin_load(first);
        quota_.finish_load(load, used);
    }

    FakeClock clock_;
    Quota quota_{clock_};
    std::optional<Quota::Refusal> refusal_;
};

TEST_F(QuotaTest, RequestsAMinute) {
    const Principal key = who({.requests_per_minute = 3});
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(use(key));
    EXPECT_FALSE(use(key));
    EXPECT_EQ(refusal_->reason, Reason::kRequests);
    EXPECT_EQ(refusal_->wait, 20s);
    EXPECT_THAT(refusal_->message, HasSubstr("3 requests a minute of this key"));
    EXPECT_FALSE(use(key)) << "a refused request is not counted, but it is refused";
    EXPECT_EQ(refusal_->wait, 20s);
    clock_.advance(20s);
    EXPECT_TRUE(use(key));
    EXPECT_FALSE(use(key));
}

TEST_F(QuotaTest, AnEditedLimitIsInForceAtOnce) {
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(use(who({.requests_per_minute = 3})));
    EXPECT_FALSE(use(who({.requests_per_minute = 3})));
    EXPECT_TRUE(use(who({.concurrent_requests = 1})));
    clock_.advance(10s);
    EXPECT_TRUE(use(who({.requests_per_minute = 600}))) << "a sixth of a bucket is refilled, whatever its size";
    EXPECT_FALSE(use(who({.requests_per_minute = 1})));
}

TEST_F(QuotaTest, SettingTheWallClockMovesNoMinute) {
    const Principal key = who({.requests_per_minute = 1});
    EXPECT_TRUE(use(key));
    clock_.set_wall(clock_.wall() + 24h);
    EXPECT_FALSE(use(key));
    clock_.set_wall(clock_.wall() - 48h);
    EXPECT_FALSE(use(key));
    clock_.advance(60s);
    EXPECT_TRUE(use(key));
}

TEST_F(QuotaTest, TokensAreEstimatedThenSettled) {
    const Principal key = who({.tokens_per_minute = 100});
    auto first = admit(key, 240);
    ASSERT_TRUE(first);
    EXPECT_EQ(quota_.windows(key).tokens->left, 40u);
    EXPECT_FALSE(admit(key, 200)) << "what runs has taken its part already";
    EXPECT_EQ(refusal_->reason, Reason::kTokens);
    EXPECT_EQ(refusal_->wait, 6s);
    first->settle(30);
    EXPECT_EQ(quota_.windows(key).tokens->left, 70u);
    first->settle(1000);
    EXPECT_EQ(quota_.windows(key).tokens->left, 70u) << "once only";
    auto second = admit(key, 0);
    ASSERT_TRUE(second);
    second->settle(190);
    EXPECT_EQ(quota_.windows(key).tokens->left, 0u);
    EXPECT_FALSE(admit(key, 0)) << "120 of debt";
    EXPECT_EQ(refusal_->wait, 60s + 12s + 600ms);
    clock_.advance(73s);
    EXPECT_TRUE(use(key, 1, 0));
}

TEST_F(QuotaTest, APromptLargerThanTheBucketNeedsAFullOne) {
    const Principal key = who({.tokens_per_minute = 10});
    EXPECT_TRUE(use(key, 20, 4'000'000)) << "its estimate may be wrong, so that it is not refused for ever";
    EXPECT_FALSE(use(key, 20, 4'000'000));
    EXPECT_EQ(refusal_->wait, 120s);
}

TEST_F(QuotaTest, ARequestThatCameToNothingGivesItsTokensBack) {
    const Principal key = who({.requests_per_minute = 10, .tokens_per_minute = 100, .concurrent_requests = 1});
    { auto dropped = admit(key, 400); }
    EXPECT_EQ(quota_.windows(key).tokens->left, 100u);
    EXPECT_EQ(quota_.windows(key).requests->left, 9u);
    EXPECT_TRUE(use(key)) << "its place is free again";
}

TEST_F(QuotaTest, ConcurrentRequests) {
    const Principal key = who({.concurrent_requests = 2});
    auto first = admit(key);
    auto second = admit(key);
    ASSERT_TRUE(first && second);
    EXPECT_FALSE(admit(key));
    EXPECT_EQ(refusal_->reason, Reason::kConcurrent);
    EXPECT_EQ(refusal_->wait, 1s);
    second->settle(5);
    auto third = admit(key);
    EXPECT_TRUE(third);
    EXPECT_FALSE(admit(key));
    Quota::Lease moved = std::move(*first);
    first.reset();
    EXPECT_FALSE(admit(key)) << "moved, not ended";
    moved = {};
    EXPECT_TRUE(use(key));
}

TEST_F(QuotaTest, KeyAndUserMustBothHold) {
    const Limits user{.requests_per_minute = 4, .concurrent_requests = 3};
    const Principal one = who({.requests_per_minute = 3}, user, "key_1");
    const Principal two = who({}, user, "key_2");
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(use(one));
    EXPECT_FALSE(use(one));
    EXPECT_THAT(refusal_->message, HasSubstr("of this key"));
    EXPECT_EQ(quota_.windows(one).requests->left, 0u);
    EXPECT_EQ(quota_.windows(one).requests->limit, 3u);
    EXPECT_EQ(quota_.windows(two).requests->left, 1u) << "a refused request takes nothing of the user's";
    EXPECT_TRUE(use(two));
    EXPECT_FALSE(use(two));
    EXPECT_THAT(refusal_->message, HasSubstr("of this user"));
    EXPECT_FALSE(quota_.windows(two).tokens.has_value());

    clock_.advance(1h);
    std::vector<Quota::Lease> running;
    for (const Principal& principal : {one, two, two}) running.push_back(*admit(principal));
    EXPECT_FALSE(admit(one));
    EXPECT_THAT(refusal_->message, HasSubstr("This user has 3"));
}

TEST_F(QuotaTest, ABudgetIsRefusedUntilItIsLoaded) {
    const Principal key = who({.tokens_per_month = 1000}, {.tokens_per_month = 5000});
    EXPECT_FALSE(use(key));
    EXPECT_EQ(refusal_->reason, Reason::kUnknown);
    EXPECT_TRUE(quota_.must_load());
    load({{UserId("usr_1"), ApiKeyId("key_1"), 900}, {UserId("usr_1"), ApiKeyId("key_2"), 4000}, {UserId("usr_2"), ApiKeyId("key_3"), 9}});
    EXPECT_FALSE(quota_.must_load());
    EXPECT_TRUE(use(key, 99));
    EXPECT_TRUE(use(key, 1)) << "999 of 1000";
    EXPECT_FALSE(use(key)) << "1000 of 1000; of the user's 5000 as well";
    EXPECT_EQ(refusal_->reason, Reason::kBudget);
    EXPECT_THAT(refusal_->message, HasSubstr("1000 tokens a month of this key"));
    EXPECT_THAT(refusal_->message, HasSubstr("2023-12-01T00:00:00.000Z"));
    EXPECT_FALSE(use(who({}, {.tokens_per_month = 5000})));
    EXPECT_TRUE(use(who({}, {.tokens_per_month = 5001}))) << "raised";
}

TEST_F(QuotaTest, ABudgetFirstNamesWhatWaitingWontMend) {
    const Principal key = who({.requests_per_minute = 1}, {.tokens_per_month = 10});
    quota_.expect("usr_1", {.tokens_per_month = 10});
    load({{UserId("usr_1"), ApiKeyId(), 9}}, true);
    EXPECT_TRUE(use(key));
    EXPECT_FALSE(use(key));
    EXPECT_EQ(refusal_->reason, Reason::kBudget);
}

TEST_F(QuotaTest, TheMonthTurns) {
    const Principal key = who({.tokens_per_month = 10});
    clock_.set_wall(from_rfc3339("2026-11-30T23:59:59.000Z"));
    EXPECT_FALSE(use(key));
    load({{UserId("usr_1"), ApiKeyId("key_1"), 9}});
    auto over_midnight = admit(key);
    ASSERT_TRUE(over_midnight);
    EXPECT_TRUE(use(key, 5));
    EXPECT_FALSE(use(key, 5));
    clock_.advance(1s);
    over_midnight->settle(4);
    EXPECT_TRUE(use(key, 5)) << "4 of the one that ended in the new month";
    EXPECT_TRUE(use(key, 1));
    EXPECT_FALSE(use(key));
    EXPECT_FALSE(quota_.must_load()) << "nothing of a month that just began is stored";
    clock_.advance(24h * 31);
    EXPECT_TRUE(use(key));
}

TEST_F(QuotaTest, AClockSetBackLoadsThatMonth) {
    const Principal key = who({.tokens_per_month = 10});
    clock_.set_wall(from_rfc3339("2027-06-15T00:00:00.000Z"));
    EXPECT_FALSE(use(key));
    load({{UserId("usr_1"), ApiKeyId("key_1"), 10}});
    EXPECT_FALSE(use(key));
    clock_.set_wall(from_rfc3339("2026-11-15T00:00:00.000Z"));
    EXPECT_FALSE(use(key));
    EXPECT_EQ(refusal_->reason, Reason::kUnknown);
    load({{UserId("usr_1"), ApiKeyId("key_1"), 3}});
    EXPECT_TRUE(use(key, 7));
    EXPECT_FALSE(use(key));
    EXPECT_EQ(refusal_->reason, Reason::kBudget);
}

TEST_F(QuotaTest, WhatIsUsedWhileALoadRunsCountsOnce) {
    const Principal key = who({.requests_per_minute = 1000});
    auto running = admit(key);
    EXPECT_TRUE(use(key, 100)) << "in the journal, before there is a budget";
    const Principal budgeted = who({.requests_per_minute = 1000, .tokens_per_month = 200});
    EXPECT_FALSE(use(budgeted));
    const Quota::Load load = quota_.begin_load(false);
    EXPECT_EQ(load.before, clock_.wall());
    EXPECT_EQ(to_rfc3339(load.from), "2023-11-01T00:00:00.000Z");
    running->settle(50);
    EXPECT_FALSE(use(budgeted));
    EXPECT_EQ(refusal_->reason, Reason::kUnknown);
    quota_.finish_load(load, {{UserId("usr_1"), ApiKeyId("key_1"), 100}});
    EXPECT_TRUE(use(budgeted, 49)) << "150";
    EXPECT_TRUE(use(budgeted, 1)) << "199";
    EXPECT_FALSE(use(budgeted)) << "200";
}

TEST_F(QuotaTest, ALoadThatTheMonthOvertookIsLeftOut) {
    const Principal key = who({.tokens_per_month = 10});
    clock_.set_wall(from_rfc3339("2026-11-30T23:59:59.900Z"));
    EXPECT_FALSE(use(key));
    const Quota::Load load = quota_.begin_load(false);
    clock_.advance(200ms);
    EXPECT_TRUE(use(key, 4)) << "the new month is known";
    quota_.finish_load(load, {{UserId("usr_1"), ApiKeyId("key_1"), 10}});
    EXPECT_TRUE(use(key, 6));
    EXPECT_FALSE(use(key));
    EXPECT_FALSE(quota_.must_load());
}

// A failed load is begun anew; then the journal holds what was used since.
TEST_F(QuotaTest, ALoadCanBeRepeated) {
    const Principal key = who({.tokens_per_month = 10});
    EXPECT_FALSE(use(key));
    quota_.begin_load(true);
    EXPECT_TRUE(quota_.must_load());
    load({{UserId("usr_1"), ApiKeyId("key_1"), 9}});
    EXPECT_TRUE(use(key));
    EXPECT_FALSE(use(key));
}

TEST_F(QuotaTest, ABudgetThatComesAndGoesIsCountedRight) {
    for (int round = 0; round < 3; ++round) {
        EXPECT_FALSE(use(who({.tokens_per_month = 10}))) << round;
        EXPECT_EQ(refusal_->reason, Reason::kUnknown);
        EXPECT_TRUE(quota_.must_load());
        EXPECT_TRUE(use(who({.requests_per_minute = 100}))) << "lifted before it was known";
        EXPECT_FALSE(quota_.must_load());
        EXPECT_FALSE(use(who({.tokens_per_month = 10})));
        load();
        EXPECT_TRUE(use(who({.tokens_per_month = 10})));
        EXPECT_FALSE(quota_.must_load());
        EXPECT_TRUE(use(who({.requests_per_minute = 100})));
    }
}

TEST_F(QuotaTest, TheFirstLoadTakesTheWholeMonth) {
    quota_.expect("key_1", {.requests_per_minute = 1});
    EXPECT_FALSE(quota_.must_load());
    quota_.expect("key_1", {.tokens_per_month = 10});
    EXPECT_TRUE(quota_.must_load());
    const Quota::Load load = quota_.begin_load(true);
    EXPECT_EQ(to_rfc3339(load.before), "2023-12-01T00:00:00.000Z");
}

TEST_F(QuotaTest, AccountsAtRestAreForgotten) {
    auto running = admit(who({.concurrent_requests = 1}, {}, "key_running"));
    EXPECT_TRUE(use(who({.requests_per_minute = 1}, {}, "key_used")));
    EXPECT_FALSE(use(who({.tokens_per_month = 1}, {}, "key_budget")));
    for (size_t i = 0; i < Quota::kAccountsMax + 10; ++i) {
        EXPECT_TRUE(use(who({.concurrent_requests = 1}, {.concurrent_requests = 9}, "key_" + std::to_string(i))));
    }
    EXPECT_LT(quota_.accounts(), 100u);
    EXPECT_FALSE(use(who({.concurrent_requests = 1}, {}, "key_running")));
    EXPECT_FALSE(use(who({.requests_per_minute = 1}, {}, "key_used")));
    EXPECT_TRUE(quota_.must_load());
    running->settle(1);
    EXPECT_TRUE(use(who({.concurrent_requests = 1}, {}, "key_running")));
}

}  // namespace
}  // namespace gantry::gateway
