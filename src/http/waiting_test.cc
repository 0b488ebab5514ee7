#include "http/http_test_support.h"

namespace gantry::http {
namespace {

TEST(Signal, WakesAllWhoWaitAndNobodyLater) {
    const auto run = [](asio::io_context& io) -> Task<std::string> {
        Signal signal(io);
        std::string log;
        auto waiter = [](Signal& s, std::string& out, char name) -> Task<void> {
            const bool notified = co_await s.wait(10s);
            out += notified ? name : '-';
        };
        asio::co_spawn(io, waiter(signal, log, 'a'), asio::detached);
        asio::co_spawn(io, waiter(signal, log, 'b'), asio::detached);
        co_await sleep_for(1ms);
        signal.notify();
        co_await sleep_for(1ms);
        const bool again = co_await signal.wait(5ms);
        log += again ? "again" : ".";
        co_return log;
    };
    EXPECT_EQ(run_task<std::string>(run), "ab.");
}

TEST(Signal, MayGoUnderAWaiter) {
    const auto run = [](asio::io_context& io) -> Task<bool> {
        auto signal = std::make_unique<Signal>(io);
        auto breaker = [](std::unique_ptr<Signal>& s) -> Task<void> {
            co_await sleep_for(1ms);  // for the wait to begin
            s.reset();
        };
        asio::co_spawn(io, breaker(signal), asio::detached);
        const bool notified = co_await signal->wait(10s);
        co_return notified;
    };
    EXPECT_TRUE(run_task<bool>(run));
}

TEST(Signal, AndSleepsEndWithTheirContext) {
    auto io = std::make_unique<asio::io_context>(1);
    Signal signal(*io);
    auto waiter = [](Signal& s) -> Task<void> { co_await s.wait(1h); };
    asio::co_spawn(*io, waiter(signal), asio::detached);
    asio::co_spawn(*io, sleep_for(1h), asio::detached);
    io->poll();
    io.reset();  // destroys frames that wait; the sanitizer says if it isn't clean
}

TEST(BlockingPool, RunsElsewhereAndComesBack) {
    BlockingPool pool(2);
    const auto run = [&pool](asio::io_context&) -> Task<int> {
        const auto here = std::this_thread::get_id();
        const auto there = co_await pool.run([] { return std::this_thread::get_id(); });
        if (there == here || std::this_thread::get_id() != here) co_return -1;
        // A Result has no empty state: this must compile and arrive.
        auto failed = co_await pool.run([]() -> Result<int> { return not_found("nothing"); });
        if (failed) co_return -2;
        auto only_moved = co_await pool.run([] { return std::make_unique<int>(7); });
        try {
            co_await pool.run([]() -> int { throw std::runtime_error("x"); });
        } catch (const std::runtime_error&) {
            co_return *only_moved;
        }
        co_return -3;
    };
    EXPECT_EQ(run_task<int>(run), 7);
}

}  // namespace
}  // namespace gantry::http
