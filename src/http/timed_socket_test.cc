// A socket that is read and written at once: what one way waits for is not the other's.

#include "http/timed_socket.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <ctime>
#include <thread>

namespace gantry::http {
namespace {

using namespace std::chrono_literals;

constexpr auto kSoon = 20ms;
constexpr auto kLong = 10s;   // that a wait of kSoon never takes

class TimedSocketTest : public testing::Test {
protected:
    TimedSocketTest() {
        std::array<int, 2> ends{};
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()), 0);
        socket_ = std::make_shared<TimedSocket>(io_, ends[0]);
        other_ = ends[1];
    }
    ~TimedSocketTest() override { ::close(other_); }

    // More than the kernel takes, to somebody who reads nothing.
    static Task<void> write_in_vain(TimedSocketTest& test, std::chrono::milliseconds timeout, Io& how) {
        std::string much(64 << 20, 'x');
        std::array<iovec, 1> parts = {iovec{much.data(), much.size()}};
        how = co_await test.socket_->write(parts, timeout);
    }
    static Task<void> wait_for_bytes(TimedSocketTest& test, std::chrono::milliseconds timeout, Io& how) {
        how = co_await test.socket_->wait_for_more(std::chrono::steady_clock::now() + timeout);
    }

    asio::io_context io_{1};
    std::shared_ptr<TimedSocket> socket_;   // shared with the waits in progress
    int other_ = -1;
};

TEST_F(TimedSocketTest, a_write_is_late_though_a_read_waits_longer) {
    Io written = Io::kOk;
    Io waited = Io::kWouldBlock;
    asio::co_spawn(io_, write_in_vain(*this, kSoon, written), [this](const std::exception_ptr&) {
        EXPECT_EQ(::send(other_, "x", 1, MSG_NOSIGNAL), 1);   // what the read waits for comes only after the write's end
    });
    asio::co_spawn(io_, wait_for_bytes(*this, kLong, waited), asio::detached);
    io_.run();
    EXPECT_EQ(written, Io::kTimeout);
    EXPECT_EQ(waited, Io::kOk) << "its own deadline was not reached";
}

TEST_F(TimedSocketTest, a_read_is_late_though_a_write_waits_longer) {
    Io written = Io::kOk;
    Io waited = Io::kOk;
    asio::co_spawn(io_, wait_for_bytes(*this, kSoon, waited), [this](const std::exception_ptr&) { socket_->close(); });
    asio::co_spawn(io_, write_in_vain(*this, kLong, written), asio::detached);
    io_.run();
    EXPECT_EQ(waited, Io::kTimeout);
    EXPECT_EQ(written, Io::kBroken) << "it was still waiting when the read's end closed the socket";
}

// The read's end must not take the write's deadline along.
TEST_F(TimedSocketTest, bytes_that_come_do_not_free_a_write_of_its_deadline) {
    Io written = Io::kOk;
    Io waited = Io::kWouldBlock;
    ASSERT_EQ(::send(other_, "x", 1, MSG_NOSIGNAL), 1);
    asio::co_spawn(io_, write_in_vain(*this, kSoon, written), asio::detached);
    asio::co_spawn(io_, wait_for_bytes(*this, kLong, waited), asio::detached);
    io_.run_for(kLong);
    EXPECT_EQ(waited, Io::kOk);
    EXPECT_EQ(written, Io::kTimeout);
}

// Its loop looks for more then, before it sleeps.
TEST_F(TimedSocketTest, a_peer_that_came_back_at_once_is_not_looked_for_once_it_is_silent) {
    const auto cpu = [] {
        timespec now{};
        ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
        return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
    };
    std::thread peer([other = other_] {   // gives each byte back, until the last
        char byte = 0;
        pollfd readable{other, POLLIN, 0};
        while (byte != 'z' && ::poll(&readable, 1, -1) == 1 && ::recv(other, &byte, 1, 0) == 1) ::send(other, &byte, 1, MSG_NOSIGNAL);
    });
    std::chrono::nanoseconds before{}, silent{};
    Io how = Io::kOk;
    const auto talk = [&]() -> Task<void> {
        std::string byte;
        for (size_t i = 0; i < 500; ++i) {
            char out = i < 499 ? 'a' : 'z';
            std::array<iovec, 1> parts = {iovec{&out, 1}};
            EXPECT_EQ(co_await socket_->write(parts, kLong), Io::kOk);
            EXPECT_EQ(co_await socket_->read(byte, 1, std::chrono::steady_clock::now() + kLong), Io::kOk);
        }
        EXPECT_EQ(byte.size(), 500U);
        before = cpu();
        how = co_await socket_->wait_for_more(std::chrono::steady_clock::now() + 10 * kSoon);
        silent = cpu() - before;
    };
    asio::co_spawn(io_, talk(), asio::detached);
    io_.run();
    socket_->close();   // whatever happened, the peer ends
    peer.join();
    EXPECT_EQ(how, Io::kTimeout);
    EXPECT_LT(silent, kSoon / 2) << "it slept";
}

}  // namespace
}  // namespace gantry::http
