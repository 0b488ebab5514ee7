#include "gateway/meter.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

namespace gantry::gateway {
namespace {

UsageRecord record(const std::string& id) {
    UsageRecord r;
    r.request_id = id;
    r.at = from_unix_ms(1'700'000'000'123);
    r.user_id = UserId("usr_1");
    r.key_id = ApiKeyId("key_1");
    r.model = "org/model";
    r.instance_id = InstanceId("ins_1");
    r.operation = "chat";
    r.status = 200;
    r.estimated = true;
    r.prompt_tokens = 4'000'000'000u;
    r.cached_tokens = 2;
    r.completion_tokens = 3;
    r.reasoning_tokens = 4;
    r.ttft_ms = 5;
    r.duration_ms = 6;
    return r;
}

class MeterTest : public testing::Test {
protected:
    void SetUp() override {
        std::string pattern = (std::filesystem::temp_directory_path() / "meter_XXXXXX").string();
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        dir_ = pattern;
    }
    void TearDown() override { std::filesystem::remove_all(dir_); }
    std::unique_ptr<Meter> open(uint64_t file_bytes = 1 << 20) { return std::move(*Meter::open(dir_, file_bytes)); }
    std::vector<std::string> fold(Meter& meter) {
        std::vector<std::string> ids;
        const Status status = meter.fold([&](const std::vector<UsageRecord>& records) -> Status {
            for (const UsageRecord& r : records) ids.push_back(r.request_id);
            return Ok{};
        });
        EXPECT_TRUE(status.ok());
        return ids;
    }
    size_t files() const {
        return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(dir_), std::filesystem::directory_iterator()));
    }
    std::filesystem::path dir_;
};

using Ids = std::vector<std::string>;

TEST_F(MeterTest, ALineGoesBothWays) {
    const UsageRecord r = record("req \"1\"\n");
    const std::string line = to_journal_line(r);
    EXPECT_EQ(line.find('\n'), line.size() - 1);
    const auto back = from_journal_line(std::string_view(line).substr(0, line.size() - 1));
    ASSERT_TRUE(back);
    EXPECT_EQ(to_journal_line(*back), line);
    EXPECT_EQ(back->prompt_tokens, 4'000'000'000u);
    EXPECT_EQ(back->at, r.at);
    EXPECT_TRUE(back->estimated);
    EXPECT_FALSE(back->aborted);
    for (const char* bad : {"", "{", "{}", "[]", "null", R"({"id":5})", "\x01\x02"}) EXPECT_FALSE(from_journal_line(bad)) << bad;
    UsageRecord heard = r;
    heard.audio_ms = 86'400'000;
    heard.images = 10;
    EXPECT_EQ(line.find("audio_ms"), std::string::npos) << "of most requests there is nothing to write";
    const auto also = from_journal_line(to_journal_line(heard));
    ASSERT_TRUE(also);
    EXPECT_EQ(also->audio_ms, 86'400'000u);
    EXPECT_EQ(also->images, 10u);
    EXPECT_EQ(from_journal_line(R"({"id":"x","audio_ms":-5,"images":99999999999})")->images, 0u);
    EXPECT_EQ(from_journal_line(R"({"id":"x","prompt":-1,"completion":99999999999999,"status":"y"})")->prompt_tokens, 0u);
}

TEST_F(MeterTest, FoldsWhatWasAppendedOnceAndInOrder) {
    auto meter = open();
    meter->append(record("a"));
    meter->append(record("b"));
    EXPECT_EQ(fold(*meter), (Ids{"a", "b"}));
    EXPECT_EQ(fold(*meter), Ids{});
    meter->append(record("c"));
    EXPECT_EQ(fold(*meter), Ids{"c"});
    EXPECT_EQ(files(), 1u) << "the current file stays";
}

TEST_F(MeterTest, BeginsAFileAnewWhenOneIsFullAndDeletesTakenOnes) {
    auto meter = open(500);
    Ids expected;
    for (int i = 0; i < 40; ++i) {
        expected.push_back("r" + std::to_string(i));
        meter->append(record(expected.back()));
    }
    EXPECT_GT(files(), 5u);
    EXPECT_EQ(fold(*meter), expected);
    EXPECT_EQ(files(), 1u);
}

TEST_F(MeterTest, AFoldBehindARotationLeavesNoLine) {
    auto meter = open();
    EXPECT_TRUE(meter->rotate()) << "nothing written yet";
    EXPECT_EQ(files(), 0u);
    meter->append(record("a"));
    EXPECT_EQ(fold(*meter), Ids{"a"});
    EXPECT_TRUE(meter->rotate());
    meter->append(record("b"));
    EXPECT_EQ(fold(*meter), Ids{"b"});
    EXPECT_EQ(files(), 1u);
    meter.reset();
    EXPECT_EQ(fold(*open()), Ids{"b"}) << "what was appended behind it comes again, as ever";
}

TEST_F(MeterTest, AFailedStoreLosesNothing) {
    auto meter = open();
    meter->append(record("a"));
    const Status failed = meter->fold([](const std::vector<UsageRecord>&) -> Status { return unavailable("locked"); });
    EXPECT_FALSE(failed.ok());
    EXPECT_EQ(fold(*meter), Ids{"a"});
}

TEST_F(MeterTest, TheNextStartTakesWhatTheLastLeftAndDropsATornLine) {
    open()->append(record("a"));
    {
        std::ofstream file(dir_ / "usage-1.jsonl", std::ios::app);
        file << "damaged\n" << to_journal_line(record("b")) << std::string(200'000, 'x') << "\n" << to_journal_line(record("c"));
        file << to_journal_line(record("torn")).substr(0, 40);
    }
    std::ofstream(dir_ / "usage-x.jsonl") << "not ours";
    auto meter = open();
    meter->append(record("d"));
    EXPECT_EQ(fold(*meter), (Ids{"a", "b", "c", "d"}));
    EXPECT_FALSE(std::filesystem::exists(dir_ / "usage-1.jsonl"));
    EXPECT_TRUE(std::filesystem::exists(dir_ / "usage-2.jsonl"));
}

TEST_F(MeterTest, ATornLineOfTheCurrentFileWaitsForItsRest) {
    auto meter = open();
    meter->append(record("a"));
    const std::string line = to_journal_line(record("b"));
    std::ofstream file(dir_ / "usage-1.jsonl", std::ios::app);
    file << line.substr(0, 30) << std::flush;
    EXPECT_EQ(fold(*meter), Ids{"a"});
    file << line.substr(30) << std::flush;
    EXPECT_EQ(fold(*meter), Ids{"b"});
}

TEST_F(MeterTest, FoldsInBatches) {
    auto meter = open(64 << 20);
    constexpr size_t kAll = Meter::kBatchRecords;
    for (size_t i = 0; i < 2 * kAll + 201; ++i) meter->append(record(std::to_string(i)));
    std::vector<size_t> batches;
    ASSERT_TRUE(meter->fold([&](const std::vector<UsageRecord>& records) -> Status {
                          batches.push_back(records.size());
                          return Ok{};
                      })
                    .ok());
    EXPECT_EQ(batches, (std::vector<size_t>{kAll, kAll, 201}));
    EXPECT_EQ(fold(*meter), Ids{});
}

TEST_F(MeterTest, RecordsOfATurnAreWrittenTogetherBeforeItsAnswersLeave) {
    std::vector<std::function<void()>> later;
    bool turning = true;
    auto meter = std::move(*Meter::open(dir_, 1 << 20, [&](std::function<void()> work) {
        if (turning) later.push_back(std::move(work));
        return turning;
    }));
    meter->append(record("a"));
    meter->append(record("b"));
    ASSERT_EQ(later.size(), 1u);
    EXPECT_EQ(fold(*meter), Ids{}) << "nothing was sent either";
    later[0]();
    EXPECT_EQ(fold(*meter), (Ids{"a", "b"}));
    meter->append(record("c"));
    EXPECT_TRUE(meter->rotate()) << "takes what was put off along";
    EXPECT_EQ(fold(*meter), Ids{"c"});
    turning = false;
    meter->append(record("d"));
    EXPECT_EQ(fold(*meter), (Ids{"d"}));
}

// A full disk, by way of a file size limit that the kernel enforces on this process' child.
TEST_F(MeterTest, AFullDiskFailsNothingAndLosesNothing) {
    const auto try_it = [this] {
        ::signal(SIGXFSZ, SIG_IGN);
        auto meter = open();
        meter->append(record("before"));
        const auto size = std::filesystem::file_size(dir_ / "usage-1.jsonl");
        rlimit limit{};
        ::getrlimit(RLIMIT_FSIZE, &limit);
        const rlimit tight{size + 10, limit.rlim_max};  // the next line fits in part only
        ::setrlimit(RLIMIT_FSIZE, &tight);
        for (int i = 0; i < 5; ++i) meter->append(record("full" + std::to_string(i)));
        const bool waited = meter->waiting() == 5 && !meter->flush();
        const Ids during = fold(*meter);
        ::setrlimit(RLIMIT_FSIZE, &limit);
        meter->append(record("after"));
        const Ids after = fold(*meter);
        const Ids all{"full0", "full1", "full2", "full3", "full4", "after"};
        std::_Exit(waited && during == Ids{"before"} && after == all && meter->waiting() == 0 ? 0 : 1);
    };
    EXPECT_EXIT(try_it(), testing::ExitedWithCode(0), "");
}

TEST_F(MeterTest, WhatWaitsIsBounded) {
    auto meter = open();
    std::filesystem::remove_all(dir_);  // nowhere to write to
    for (size_t i = 0; i < Meter::kWaitingMax + 100; ++i) meter->append(record(std::to_string(i)));
    EXPECT_EQ(meter->waiting(), Meter::kWaitingMax);
    std::filesystem::create_directories(dir_);
    EXPECT_TRUE(meter->flush());
    const Ids ids = fold(*meter);
    ASSERT_EQ(ids.size(), Meter::kWaitingMax);
    EXPECT_EQ(ids.front(), "100");
}

// P12: a process killed while it writes has lost no record whose append() returned.
TEST_F(MeterTest, SurvivesKill9) {
    int pipe_ends[2];
    ASSERT_EQ(::pipe(pipe_ends), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        auto meter = Meter::open(dir_, 4096);
        for (uint32_t i = 0;; ++i) {
            (*meter)->append(record(std::to_string(i)));
            if (::write(pipe_ends[1], &i, sizeof i) != sizeof i) std::_Exit(1);
        }
    }
    ::close(pipe_ends[1]);
    uint32_t last = 0;
    while (last < 300) ASSERT_EQ(::read(pipe_ends[0], &last, sizeof last), static_cast<ssize_t>(sizeof last));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    for (uint32_t number = 0; ::read(pipe_ends[0], &number, sizeof number) == sizeof number;) last = number;
    ::close(pipe_ends[0]);
    auto meter = open();
    const Ids ids = fold(*meter);
    const std::set<std::string> unique(ids.begin(), ids.end());
    EXPECT_EQ(unique.size(), ids.size());
    for (uint32_t i = 0; i <= last; ++i) EXPECT_TRUE(unique.contains(std::to_string(i))) << i << " of " << last;
}

TEST_F(MeterTest, FoldsWhileAnotherThreadAppends) {
    auto meter = open(2000);
    constexpr int kRecords = 3000;
    std::set<std::string> seen;
    std::atomic<bool> appended = false;
    std::jthread folding([&] {
        bool last = false;
        while (!last) {
            last = appended.load();
            for (const std::string& id : fold(*meter)) EXPECT_TRUE(seen.insert(id).second) << id;
        }
    });
    for (int i = 0; i < kRecords; ++i) meter->append(record(std::to_string(i)));
    appended = true;
    folding.join();
    EXPECT_EQ(seen.size(), static_cast<size_t>(kRecords));
}

}  // namespace
}  // namespace gantry::gateway
