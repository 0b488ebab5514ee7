#include "store/store_for_test.h"

namespace gantry::store {
namespace {

Benchmark a_benchmark(int n, BenchmarkState state = BenchmarkState::kQueued) {
    Benchmark b;
    b.id = BenchmarkId(fmt::format("bmk_{:04}", n));
    b.name = fmt::format("number {}", n);
    b.user_id = UserId("usr_1");
    b.user_name = "ann";
    b.key_id = ApiKeyId("key_1");
    b.settings.kind = BenchmarkKind::kCompare;
    b.settings.concurrencies = {1, 6};
    b.settings.seed = uint64_t{1} << 52;
    b.targets.resize(2);
    b.targets[0].name = b.targets[0].deployment = b.targets[0].model = "smollm2";
    b.targets[1].name = "other";
    b.targets[1].url = "https://x/v1";
    b.targets[1].sealed_key = "sealed";
    b.targets[1].has_api_key = true;
    b.state = state;
    b.progress.requests_total = 7;
    b.created_at = from_unix_ms(1'700'000'000'000 + n);
    return b;
}

class Benchmarks : public testing::Test {
protected:
    TempDir dir_;
    std::unique_ptr<SqliteStore> store_ = open_store(dir_.path());
};

TEST_F(Benchmarks, KeepEveryField) {
    Benchmark b = a_benchmark(1);
    EXPECT_OK(store_->create_benchmark(b));
    b.state = BenchmarkState::kRunning;
    b.targets[0].backend = "engine";
    b.targets[0].devices = "2 x A100 on host-1";
    b.targets[0].cards = 2;
    b.targets[0].error = "broke";
    b.progress = {.fraction = 0.5, .requests_done = 3, .requests_failed = 1, .requests_total = 7, .output_tokens = 99,
                  .target = "smollm2", .concurrency = 6};
    b.started_at = from_unix_ms(1'700'000'001'000);
    b.runs = R"([{"target":"smollm2"}])";
    b.result = R"({"version":1})";
    EXPECT_OK(store_->update_benchmark(b));
    const auto got = store_->benchmark(b.id);
    ASSERT_TRUE(got.ok()) << got.error().message;
    EXPECT_EQ(got->name, b.name);
    EXPECT_EQ(got->user_id, b.user_id);
    EXPECT_EQ(got->user_name, "ann");
    EXPECT_EQ(got->key_id, b.key_id);
    EXPECT_EQ(got->settings, b.settings);
    EXPECT_EQ(got->targets, b.targets);
    EXPECT_EQ(got->state, b.state);
    EXPECT_EQ(got->progress, b.progress);
    EXPECT_EQ(got->created_at, b.created_at);
    EXPECT_EQ(got->started_at, b.started_at);
    EXPECT_EQ(got->finished_at, std::nullopt);
    EXPECT_EQ(got->runs, b.runs);
    EXPECT_EQ(got->result, b.result);
    EXPECT_EQ(store_->benchmarks({}, {})->items.at(0).result, "") << "lists are short";
    EXPECT_EQ(store_->benchmarks({}, UserId("usr_2"))->items.size(), 0u);
    EXPECT_EQ(store_->benchmarks({}, UserId("usr_1"))->items.size(), 1u);
    EXPECT_EQ(store_->benchmarks({.name_contains = "NUMBER"}, {})->items.size(), 1u);
    EXPECT_EQ(store_->open_benchmarks()->size(), 1u);
}

TEST_F(Benchmarks, WhatIsOverIsOver) {
    Benchmark b = a_benchmark(1, BenchmarkState::kRunning);
    EXPECT_OK(store_->create_benchmark(b));
    b.state = BenchmarkState::kCancelled;
    b.finished_at = b.created_at;
    EXPECT_OK(store_->update_benchmark(b));
    b.state = BenchmarkState::kDone;
    EXPECT_CODE(store_->update_benchmark(b), ErrorCode::kConflict);
    EXPECT_EQ(store_->benchmark(b.id)->state, BenchmarkState::kCancelled);
    EXPECT_TRUE(store_->open_benchmarks()->empty());
    EXPECT_OK(store_->delete_benchmark(b.id));
    EXPECT_CODE(store_->delete_benchmark(b.id), ErrorCode::kNotFound);
    EXPECT_CODE(store_->update_benchmark(b), ErrorCode::kNotFound);
    EXPECT_CODE(store_->benchmark(b.id), ErrorCode::kNotFound);
}

TEST_F(Benchmarks, TheNewestAreKeptAndThoseThatWaitAlways) {
    for (int n = 0; n < 3; ++n) EXPECT_OK(store_->create_benchmark(a_benchmark(n)));
    for (int n = 3; n < 3 + kBenchmarksMax + 2; ++n) EXPECT_OK(store_->create_benchmark(a_benchmark(n, BenchmarkState::kDone)));
    EXPECT_CODE(store_->benchmark(BenchmarkId("bmk_0003")), ErrorCode::kNotFound);
    EXPECT_CODE(store_->benchmark(BenchmarkId("bmk_0004")), ErrorCode::kNotFound);
    EXPECT_OK(store_->benchmark(BenchmarkId("bmk_0005")));
    const auto open = store_->open_benchmarks();
    ASSERT_EQ(open->size(), 3u);
    EXPECT_EQ(open->front().id.text, "bmk_0000") << "the oldest is next";
}

TEST_F(Benchmarks, TextThatJsonCouldNotGiveBackIsRefused) {
    Benchmark b = a_benchmark(1);
    b.targets[0].flags = "\xff\xfe";
    EXPECT_CODE(store_->create_benchmark(b), ErrorCode::kInvalidArgument);
    b.targets[0].flags.clear();
    b.runs = "[";
    EXPECT_CODE(store_->create_benchmark(b), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace gantry::store
