// Usage by the hour: always the sum of the records that were ever added, whatever order, repetition or clock they came with.

#include <map>
#include <random>
#include <set>

#include "store/migrations.h"
#include "store/store_for_test.h"
#include "store/usage_hours.h"

namespace gantry::store {
namespace {

constexpr int64_t kDayMs = 24 * kHourMs;

// Few names: groups with one record and groups with many.
UsageRecord random_usage(std::mt19937& random, int number) {
    const auto pick = [&](unsigned count) { return std::to_string(random() % count); };
    UsageRecord u;
    u.request_id = "req_" + std::to_string(number);
    u.at = at(static_cast<int64_t>(random() % (5 * kDayMs)) - kDayMs);
    u.user_id = UserId("usr_" + pick(3));
    u.key_id = ApiKeyId(random() % 4 == 0 ? "" : "key_" + pick(4));
    u.model = "org/model:" + pick(2);
    u.instance_id = InstanceId("ins_" + pick(3));
    u.operation = random() % 2 == 0 ? "chat" : "embedding";
    u.aborted = random() % 5 == 0;
    u.status = u.aborted ? 499 : random() % 5 == 0 ? 503 : 200;
    u.estimated = random() % 3 == 0;
    u.prompt_tokens = static_cast<uint32_t>(random());
    u.cached_tokens = static_cast<uint32_t>(random() % 100);
    u.completion_tokens = static_cast<uint32_t>(random() % 1000);
    u.reasoning_tokens = static_cast<uint32_t>(random() % 10);
    u.audio_ms = random() % 4 == 0 ? static_cast<uint32_t>(random()) : 0;
    u.images = random() % 4 == 0 ? static_cast<uint32_t>(random() % 10) : 0;
    u.ttft_ms = static_cast<uint32_t>(random() % 3);
    u.duration_ms = static_cast<uint32_t>(random() % 10'000);
    return u;
}

using Line = std::tuple<int64_t, std::string, std::string, std::string, std::string, std::string>;
using Lines = std::map<Line, UsageTotals>;

Line line_of(const UsageSummary& s) {
    return {s.bucket ? to_unix_ms(*s.bucket) : -1, s.user_id.text, s.key_id.text, s.model, s.instance_id.text, s.operation};
}

// What a summary must say, from the records alone.
Lines expected(const std::vector<UsageRecord>& records, const UsageSummaryRequest& request) {
    const int64_t width = request.bucket == UsageBucket::kHour ? kHourMs : kDayMs;
    Lines out;
    for (const UsageRecord& u : records) {
        const WallTime hour = span_start(u.at, kHourMs);
        if (request.from && hour < span_start(*request.from, kHourMs)) continue;
        if (request.to && hour >= *request.to) continue;
        const UsageFilter& f = request.filter;
        if (!f.user.empty() && f.user != u.user_id) continue;
        if (!f.key.empty() && f.key != u.key_id) continue;
        if (!f.model.empty() && f.model != u.model) continue;
        const UsageGroups& by = request.by;
        const Line line{request.bucket == UsageBucket::kTotal ? -1 : to_unix_ms(span_start(u.at, width)),
                        by.user ? u.user_id.text : "",
                        by.key ? u.key_id.text : "",
                        by.model ? u.model : "",
                        by.instance ? u.instance_id.text : "",
                        by.operation ? u.operation : ""};
        out[line].add(u);
    }
    return out;
}

class UsageHours : public ::testing::Test {
protected:
    // All pages, in order and without repetition.
    Lines summary(UsageSummaryRequest request) {
        Lines all;
        Line last;
        for (int page = 0; page < 100'000; ++page) {
            const auto got = store_->usage_summary(request);
            EXPECT_TRUE(got.ok()) << (got.ok() ? "" : got.error().message);
            if (!got.ok()) break;
            EXPECT_LE(got->items.size(), request.limit);
            for (const UsageSummary& item : got->items) {
                EXPECT_TRUE(all.empty() || last < line_of(item)) << "out of order";
                last = line_of(item);
                all[last] = item.totals;
            }
            request.cursor = got->next_cursor;
            if (request.cursor.empty()) return all;
        }
        ADD_FAILURE() << "the summary has no end";
        return all;
    }

    TempDir dir_;
    std::unique_ptr<SqliteStore> store_ = open_store(dir_.path());
};

TEST_F(UsageHours, AreTheSumOfTheRecordsHoweverAskedFor) {
    std::mt19937 random(20261126);
    std::vector<UsageRecord> records;
    for (int i = 0; i < 3000; ++i) records.push_back(random_usage(random, i));
    // In batches of any size, some of them twice, and some of their records again in a later batch.
    for (size_t begin = 0; begin < records.size();) {
        const size_t end = std::min(records.size(), begin + 1 + random() % 200);
        std::vector<UsageRecord> batch(records.begin() + static_cast<long>(begin), records.begin() + static_cast<long>(end));
        for (int again = 0; again < 20 && begin > 0; ++again) batch.push_back(records[random() % begin]);
        EXPECT_OK(store_->add_usage(batch));
        if (random() % 3 == 0) EXPECT_OK(store_->add_usage(batch));
        begin = end;
    }
    for (int round = 0; round < 60; ++round) {
        UsageSummaryRequest request;
        request.bucket = static_cast<UsageBucket>(random() % 3);
        request.by = {random() % 2 == 0, random() % 2 == 0, random() % 2 == 0, random() % 2 == 0, random() % 2 == 0};
        request.limit = random() % 2 == 0 ? 500 : 1 + static_cast<uint32_t>(random() % 40);
        const auto some_time = [&] { return at(static_cast<int64_t>(random() % (5 * kDayMs)) - kDayMs); };
        if (random() % 2 == 0) request.from = some_time();
        if (random() % 2 == 0) request.to = some_time();
        if (random() % 3 == 0) request.filter.user = UserId("usr_1");
        if (random() % 3 == 0) request.filter.key = ApiKeyId("key_2");
        if (random() % 3 == 0) request.filter.model = "org/model:0";
        EXPECT_EQ(summary(request), expected(records, request)) << "round " << round;
    }
}

TEST_F(UsageHours, ARecordCountsOnceAndAsItCameFirst) {
    UsageRecord u = a_usage("1");
    u.completion_tokens = 7;
    UsageRecord again = u;
    again.completion_tokens = 1000;
    EXPECT_OK(store_->add_usage({u, again}));
    EXPECT_OK(store_->add_usage({again}));
    const auto got = store_->usage_summary({.by = {.model = true}});
    ASSERT_EQ(got->items.size(), 1u);
    EXPECT_EQ(got->items[0].totals.requests, 1);
    EXPECT_EQ(got->items[0].totals.completion_tokens, 7);
    EXPECT_EQ(got->items[0].model, "smollm2");
    EXPECT_EQ(got->items[0].user_id, UserId()) << "not grouped by";
}

// The last millisecond of an hour and the first of the next; the same of a day; before 1970, where remainders are negative;
// and a clock that is set back adds to hours that are there.
TEST_F(UsageHours, EdgesOfHoursAndDays) {
    const int64_t day = 20'000 * kDayMs;
    int number = 0;
    const auto record = [&number](int64_t ms) {
        UsageRecord u = a_usage(std::to_string(++number));
        u.at = from_unix_ms(ms);
        return u;
    };
    for (const int64_t ms : {day, day + kHourMs - 1, day + kHourMs, day + kDayMs - 1, day + kDayMs, day - 1, int64_t{-1}, -kHourMs,
                             -kHourMs - 1, int64_t{0}, day + 5}) {
        EXPECT_OK(store_->add_usage({record(ms)}));
    }
    const auto counts = [&](UsageBucket bucket, std::optional<int64_t> from = {}, std::optional<int64_t> to = {}) {
        std::map<int64_t, int64_t> out;
        UsageSummaryRequest request{.limit = 500, .bucket = bucket};
        if (from) request.from = from_unix_ms(*from);
        if (to) request.to = from_unix_ms(*to);
        for (const auto& [line, totals] : summary(request)) out[std::get<0>(line)] = totals.requests;
        return out;
    };
    using Counts = std::map<int64_t, int64_t>;
    EXPECT_EQ(counts(UsageBucket::kHour),
              (Counts{{-2 * kHourMs, 1}, {-kHourMs, 2}, {0, 1}, {day - kHourMs, 1}, {day, 3}, {day + kHourMs, 1},
                      {day + kDayMs - kHourMs, 1}, {day + kDayMs, 1}}));
    EXPECT_EQ(counts(UsageBucket::kDay), (Counts{{-kDayMs, 3}, {0, 1}, {day - kDayMs, 1}, {day, 5}, {day + kDayMs, 1}}));
    EXPECT_EQ(counts(UsageBucket::kTotal), (Counts{{-1, 11}}));
    // A day is cut where the time asked for is; that is taken to whole hours.
    EXPECT_EQ(counts(UsageBucket::kDay, day + kHourMs, day + kDayMs), (Counts{{day, 2}}));
    EXPECT_EQ(counts(UsageBucket::kDay, day + 2 * kHourMs - 1, day + kDayMs), (Counts{{day, 2}}));
    EXPECT_EQ(counts(UsageBucket::kDay, day, day + 1), (Counts{{day, 3}}));
    EXPECT_EQ(counts(UsageBucket::kTotal, day + 7 * kDayMs), Counts());
}

TEST_F(UsageHours, StayWhenTheRecordsGo) {
    std::vector<UsageRecord> records;
    for (int i = 0; i < 5000; ++i) records.push_back(a_usage(std::to_string(i), i));
    EXPECT_OK(store_->add_usage(records));
    const auto deleted = store_->delete_usage_before(at(4500));
    ASSERT_TRUE(deleted.ok());
    EXPECT_EQ(*deleted, 4500u);
    const auto left = store_->usage({.limit = 1}, {});
    EXPECT_EQ(left->items.at(0).at, at(4500));
    EXPECT_EQ(*store_->delete_usage_before(at(4500)), 0u);
    EXPECT_EQ(summary({.bucket = UsageBucket::kTotal}).begin()->second.requests, 5000);
}

TEST_F(UsageHours, CursorsOfOthersAreRefused) {
    EXPECT_OK(store_->add_usage({a_usage("1"), a_usage("2", kDayMs)}));
    const std::string good = store_->usage_summary({.limit = 1})->next_cursor;
    ASSERT_NE(good, "");
    EXPECT_OK(store_->usage_summary({.cursor = good}));
    for (const std::string& bad : {std::string("zz"), good.substr(0, good.size() - 2), good + "00", store_->usage({.limit = 1}, {})->next_cursor}) {
        EXPECT_CODE(store_->usage_summary({.cursor = bad}), ErrorCode::kInvalidArgument);
    }
    EXPECT_CODE(store_->usage_summary({.limit = 501}), ErrorCode::kInvalidArgument);
}

TEST_F(UsageHours, RecordsAreFiltered) {
    std::mt19937 random(7);
    std::vector<UsageRecord> records;
    for (int i = 0; i < 200; ++i) records.push_back(random_usage(random, i));
    EXPECT_OK(store_->add_usage(records));
    for (const bool descending : {false, true}) {
        const UsageFilter filter{.user = UserId("usr_1"), .key = ApiKeyId("key_2"), .model = "org/model:1"};
        PageRequest page{.limit = 2, .descending = descending, .from = at(0), .to = at(2 * kDayMs)};
        std::set<std::string> got, wanted;
        do {
            const auto rows = store_->usage(page, filter);
            ASSERT_TRUE(rows.ok());
            for (const UsageRecord& u : rows->items) got.insert(u.request_id);
            page.cursor = rows->next_cursor;
        } while (!page.cursor.empty());
        for (const UsageRecord& u : records) {
            const bool fits = u.user_id == filter.user && u.key_id == filter.key && u.model == filter.model && u.at >= *page.from &&
                              u.at < *page.to;
            if (fits) wanted.insert(u.request_id);
        }
        EXPECT_EQ(got, wanted);
        EXPECT_FALSE(wanted.empty());
    }
}

// A file of version 1, with records in it: the migration's sums are those that adding would have made.
TEST(UsageHoursMigration, FillsTheHoursFromTheRecords) {
    std::mt19937 random(3);
    std::vector<UsageRecord> records;
    for (int i = 0; i < 500; ++i) records.push_back(random_usage(random, i));
    records[0].at = from_unix_ms(-1);
    for (UsageRecord& record : records) record.audio_ms = record.images = 0;   // version 1 had no place for them
    TempDir dir;
    const UsageSummaryRequest all{.limit = 500, .bucket = UsageBucket::kDay, .by = {true, true, true, false, true}};
    {
        auto store = open_store(dir.path());
        EXPECT_OK(store->add_usage(records));
        EXPECT_OK(store->close());
    }
    EXPECT_OK((*Connection::open(dir.file("usage.db"), {}))->script("DROP TABLE usage_hours; "
        "ALTER TABLE usage_records DROP COLUMN audio_ms; ALTER TABLE usage_records DROP COLUMN images; PRAGMA user_version = 1"));
    auto store = open_store(dir.path());
    ASSERT_NE(store, nullptr);
    const auto got = store->usage_summary(all);
    ASSERT_TRUE(got.ok());
    Lines lines;
    for (const UsageSummary& item : got->items) lines[line_of(item)] = item.totals;
    EXPECT_EQ(lines, expected(records, all));
    // Folded again after the migration: they are there already.
    EXPECT_OK(store->add_usage(records));
    EXPECT_EQ(store->usage_summary({.bucket = UsageBucket::kTotal})->items.at(0).totals.requests, 500);
    EXPECT_OK(store->close());
}

}  // namespace
}  // namespace gantry::store
