#include "sources/download.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <set>

#include "sources/journal.h"
#include "sources/store_for_test.h"

namespace gantry::sources {
namespace {

using ::testing::HasSubstr;
using http::Exchange;
using http::Response;
using http::Task;

constexpr uint64_t kChunk = 64 * 1024;
constexpr size_t kSize = 40 * kChunk + 123;

class Download : public SourcesTest {
protected:
    DownloadTask task(const TestStore& store) {
        DownloadTask task;
        task.file = store.file();
        task.path = folder_ / "partial";
        task.chunk_bytes = kChunk;
        task.locate = [this, &store]() -> Result<Located> {
            ++located_;
            return Located{store.url("/file" + std::to_string(located_)), "", Nearness::kLoopback};
        };
        return task;
    }
    // Bytes that were asked for since the `first` request.
    static uint64_t asked_bytes(const TestStore& store, size_t first = 0) {
        uint64_t sum = 0;
        const auto asked = store.asked();
        for (size_t i = first; i < asked.size(); ++i) {
            const std::string range = asked[i].range.substr(6);
            sum += std::stoull(range.substr(range.find('-') + 1)) + 1 - std::stoull(range);
        }
        return sum;
    }
    int located_ = 0;
    DownloadState state_;
};

Task<bool> respond(Exchange& exchange, Response response) {
    co_await exchange.respond(std::move(response));
    co_return true;
}

TEST_F(Download, by_ranges_side_by_side) {
    TestStore store(content(kSize));
    const Status done = download(settings_, task(store), state_);
    ASSERT_TRUE(done.ok()) << done.error().message;
    EXPECT_EQ(text(folder_ / "partial"), store.bytes());
    EXPECT_EQ(state_.bytes_done, kSize);
    EXPECT_EQ(asked_bytes(store), kSize) << "every byte once";
    EXPECT_GE(store.asked().size(), 6u);
    EXPECT_FALSE(std::filesystem::exists(folder_ / "partial.journal"));
    EXPECT_EQ(located_, 1);
}

TEST_F(Download, nothing_and_what_git_keeps) {
    TestStore empty("");
    DownloadTask none = task(empty);
    ASSERT_TRUE(download(settings_, none, state_).ok());
    EXPECT_EQ(std::filesystem::file_size(folder_ / "partial"), 0u);
    EXPECT_TRUE(empty.asked().empty());
    TestStore small("{}\n");
    DownloadTask by_git = task(small);
    by_git.file.digest = {Digest::Kind::kGit, "0967ef424bce6791893e9a57bb952f80fd536e93"};   // git hash-object of "{}\n"
    const Status done = download(settings_, by_git, state_);
    ASSERT_TRUE(done.ok()) << done.error().message;
    EXPECT_EQ(text(folder_ / "partial"), "{}\n");
}

TEST_F(Download, goes_on_where_it_was_stopped) {
    TestStore store(content(kSize));
    std::atomic<bool> stopping = true;
    store.misbehave([&stopping](Exchange& exchange, size_t number) -> Task<bool> {
        if (!stopping || number <= 2) co_return false;   // the rest is held, so that it is caught in the middle
        while (!exchange.client_gone()) co_await http::sleep_for(std::chrono::milliseconds(5));
        exchange.abort();
        co_return true;
    });
    DownloadTask first = task(store);
    uint64_t answered = 0;
    first.progressed = [&] {
        const auto asked = store.asked();
        if (asked.size() < 2 + settings_.connections) return;   // until all that it has sent has arrived
        answered = asked_bytes(store) - asked_bytes(store, 2);
        state_.cancelled = state_.bytes_done == answered;
    };
    const Status stopped = download(settings_, first, state_);
    ASSERT_FALSE(stopped.ok());
    ASSERT_EQ(stopped.error().code, ErrorCode::kCancelled);
    const auto there = read_journal(text(folder_ / "partial.journal"), {kSize, store.file().digest, kChunk});
    ASSERT_GT(answered, 0u);
    ASSERT_EQ(static_cast<uint64_t>(std::count(there.begin(), there.end(), true)) * kChunk, answered);
    const size_t before = store.asked().size();
    stopping = false;
    state_.cancelled = false;
    const Status done = download(settings_, task(store), state_);
    ASSERT_TRUE(done.ok()) << done.error().message;
    EXPECT_EQ(text(folder_ / "partial"), store.bytes());
    EXPECT_EQ(asked_bytes(store, before), kSize - answered);
}

TEST_F(Download, what_an_earlier_run_left_damaged_is_fetched_anew) {
    TestStore store(content(kSize));
    const JournalKey key{kSize, store.file().digest, kChunk};
    std::ofstream(folder_ / "partial.journal") << journal_head(key) << journal_line(0) << journal_line(7);
    std::ofstream(folder_ / "partial") << std::string(kSize, 'x');
    const Status done = download(settings_, task(store), state_);
    ASSERT_TRUE(done.ok()) << done.error().message;
    EXPECT_EQ(text(folder_ / "partial"), store.bytes());
}

TEST_F(Download, what_is_not_what_the_hub_lists_is_no_file) {
    TestStore store(content(kSize));
    store.misbehave([&store](Exchange& exchange, size_t) -> Task<bool> {
        Response bad = store.plain(exchange.request());
        bad.body[0] = static_cast<char>(bad.body[0] + 1);
        return respond(exchange, std::move(bad));
    });
    const Status done = download(settings_, task(store), state_);
    ASSERT_FALSE(done.ok());
    EXPECT_EQ(done.error().reason, "digest_mismatch");
    EXPECT_FALSE(std::filesystem::exists(folder_ / "partial"));
    EXPECT_FALSE(std::filesystem::exists(folder_ / "partial.journal"));
}

TEST_F(Download, without_ranges) {
    TestStore store(content(kSize));
    store.misbehave([&store](Exchange& exchange, size_t) -> Task<bool> {
        Response whole;
        whole.body = store.bytes();
        return respond(exchange, std::move(whole));
    });
    const Status done = download(settings_, task(store), state_);
    ASSERT_TRUE(done.ok()) << done.error().message;
    EXPECT_EQ(text(folder_ / "partial"), store.bytes());
}

TEST_F(Download, is_tried_again) {
    TestStore store(content(kSize));
    store.misbehave([](Exchange& exchange, size_t number) -> Task<bool> {
        if (number == 2 || number == 3) {
            Response busy{.status = number == 2 ? 503 : 429};
            co_await exchange.respond(std::move(busy));
            co_return true;
        }
        if (number == 4) {   // breaks off in the middle
            http::Headers headers;
            co_await exchange.start_stream(206, std::move(headers));
            exchange.abort();
            co_return true;
        }
        co_return false;
    });
    const Status done = download(settings_, task(store), state_);
    ASSERT_TRUE(done.ok()) << done.error().message;
    EXPECT_EQ(text(folder_ / "partial"), store.bytes());
}

TEST_F(Download, is_given_up_with_the_reason) {
    struct Case {
        Response answer;
        const char* says;
    };
    http::Headers lie;
    lie.set("content-range", "bytes 0-99/100");
    http::Headers elsewhere;
    elsewhere.set("content-range", "bytes 5-524292/" + std::to_string(kSize));
    http::Headers page;
    page.set("content-type", "text/html");
    for (const Case& c : {Case{{.status = 503}, "answers 503"}, Case{{.status = 206, .headers = lie, .body = std::string(100, 'x')},
        "has 100 bytes there, not the"},
                          Case{{.status = 206, .headers = elsewhere, .body = std::string(8 * kChunk, 'x')}, "another range"},
                          Case{{.status = 200, .headers = page, .body = "<html>log in</html>"}, "sends 19 bytes of a web page, not the"},
                          Case{{.status = 416}, "answers 416"}}) {
        TestStore store(content(kSize));
        store.misbehave([&c](Exchange& exchange, size_t) -> Task<bool> { return respond(exchange, c.answer); });
        const Status done = download(settings_, task(store), state_);
        ASSERT_FALSE(done.ok()) << c.says;
        EXPECT_THAT(done.error().message, HasSubstr(c.says));
        EXPECT_EQ(store.asked().size(), settings_.retries + 1) << c.says;
    }
}

TEST_F(Download, asks_anew_where_the_file_is_when_its_url_has_expired) {
    TestStore store(content(kSize));
    store.misbehave([](Exchange& exchange, size_t number) -> Task<bool> {
        if (number < 3 || exchange.request().path != "/file1") co_return false;
        Response expired{.status = 403};
        co_await exchange.respond(std::move(expired));
        co_return true;
    });
    const Status done = download(settings_, task(store), state_);
    ASSERT_TRUE(done.ok()) << done.error().message;
    EXPECT_EQ(text(folder_ / "partial"), store.bytes());
    EXPECT_GE(located_, 2);
}

TEST_F(Download, a_connection_that_stalls_is_given_up) {
    TestStore store(content(kSize));
    settings_.stalled_after = std::chrono::seconds(1);
    store.misbehave([](Exchange& exchange, size_t number) -> Task<bool> {
        if (number != 2) co_return false;
        while (!exchange.client_gone()) co_await http::sleep_for(std::chrono::milliseconds(5));
        exchange.abort();
        co_return true;
    });
    const Status done = download(settings_, task(store), state_);
    ASSERT_TRUE(done.ok()) << done.error().message;
    EXPECT_EQ(text(folder_ / "partial"), store.bytes());
}

TEST_F(Download, what_is_no_passing_trouble_ends_it_at_once) {
    TestStore store(content(kSize));
    DownloadTask forbidden = task(store);
    forbidden.locate = []() -> Result<Located> { return Error{ErrorCode::kPermissionDenied, "gated", "source", "gated"}; };
    EXPECT_EQ(download(settings_, forbidden, state_).error().reason, "gated");
    DownloadTask near = task(store);
    near.locate = [&]() -> Result<Located> { return Located{store.url(), "", Nearness::kPrivate}; };
    EXPECT_EQ(download(settings_, near, state_).error().reason, "address_not_allowed");
    settings_.offline = true;
    EXPECT_EQ(download(settings_, task(store), state_).error().reason, "offline");
    EXPECT_TRUE(store.asked().empty());
}

TEST(Journal, what_it_says) {
    const JournalKey key{100, {Digest::Kind::kSha256, std::string(64, 'a')}, 30};
    const std::string head = journal_head(key);
    EXPECT_EQ(read_journal(head + journal_line(3) + journal_line(1) + "2", key), (std::vector<bool>{false, true, false, true}))
        << "the last line was cut off";
    EXPECT_EQ(read_journal(head + "4\n-1\nx\n\n0x\n", key), std::vector<bool>(4, false));
    EXPECT_EQ(read_journal(journal_line(1), key), std::vector<bool>(4, false));
    JournalKey other = key;
    other.digest.hex[0] = 'b';
    EXPECT_EQ(read_journal(head + journal_line(1), other), std::vector<bool>(4, false));
}

}  // namespace
}  // namespace gantry::sources
