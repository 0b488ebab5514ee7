#include "http/timed_socket.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>

namespace gantry::http {

using boost::system::error_code;

std::chrono::milliseconds extra_time(size_t bytes) {
    return std::chrono::milliseconds(static_cast<int64_t>(bytes / (kBytesPerSecondMin / 1000)));
}

TimedSocket::TimedSocket(Socket socket) : socket_(std::move(socket)), timer_(socket_.get_executor()) {}

Io TimedSocket::broken(int error) {
    last_error_ = error;
    return Io::kBroken;
}

void TimedSocket::arm(SteadyTime deadline) {
    timed_out_ = false;
    deadline_ = deadline;
    if (deadline < timer_at_) start_timer(deadline);
}

void TimedSocket::start_timer(SteadyTime at) {
    timer_at_ = at;
    timer_.expires_at(at);  // drops the wait before, whose callback then sees an error
    timer_.async_wait([weak = weak_from_this()](const error_code& ec) {
        if (ec) return;
        if (const auto self = weak.lock()) self->on_timer();
    });
}

void TimedSocket::on_timer() {
    timer_at_ = SteadyTime::max();
    if (deadline_ == SteadyTime::max()) return;
    if (deadline_ > std::chrono::steady_clock::now()) {
        start_timer(deadline_);
        return;
    }
    deadline_ = SteadyTime::max();
    timed_out_ = true;
    error_code ignored;
    socket_.cancel(ignored);
}

Task<Io> TimedSocket::connect(asio::generic::stream_protocol::endpoint endpoint, SteadyTime deadline) {
    const auto self = shared_from_this();
    error_code ec;
    arm(deadline);
    co_await socket_.async_connect(endpoint, asio::redirect_error(asio::use_awaitable, ec));
    deadline_ = SteadyTime::max();
    if (timed_out_) co_return Io::kTimeout;
    if (ec) co_return broken(ec.value());
    co_return Io::kOk;
}

Task<Io> TimedSocket::wait_for(Direction direction, SteadyTime deadline) {
    const auto self = shared_from_this();
    if (!socket_.is_open()) co_return broken(EBADF);
    if (deadline <= std::chrono::steady_clock::now()) co_return Io::kTimeout;
    error_code ec;
    arm(deadline);
    const auto what = direction == Direction::kRead ? Socket::wait_read : Socket::wait_write;
    co_await socket_.async_wait(what, asio::redirect_error(asio::use_awaitable, ec));
    deadline_ = SteadyTime::max();
    if (!socket_.is_open()) co_return broken(ECANCELED);
    if (timed_out_) co_return Io::kTimeout;
    if (ec) co_return broken(ec.value());
    co_return Io::kOk;
}

Task<Io> TimedSocket::wait_readable(SteadyTime deadline) { return wait_for(Direction::kRead, deadline); }

Io TimedSocket::try_read(std::string& into, size_t limit) {
    // One area for all connections of a thread: nothing is kept in it between two calls.
    thread_local char scratch[kReadBytesMax];
    if (!socket_.is_open()) return broken(EBADF);
    while (true) {
        const ssize_t got =
            ::recv(socket_.native_handle(), scratch, std::min(limit, sizeof(scratch)), MSG_DONTWAIT);
        if (got > 0) {
            into.append(scratch, static_cast<size_t>(got));
            return Io::kOk;
        }
        if (got == 0) return Io::kEnd;
        if (errno == EINTR) continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK) return Io::kWouldBlock;
        return broken(errno);
    }
}

Task<Io> TimedSocket::read(std::string& into, size_t limit, SteadyTime deadline) {
    while (true) {
        const Io got = try_read(into, limit);
        if (got != Io::kWouldBlock) co_return got;
        const Io ready = co_await wait_for(Direction::kRead, deadline);
        if (ready != Io::kOk) co_return ready;
    }
}

Task<Io> TimedSocket::write(std::span<iovec> parts, std::chrono::milliseconds timeout) {
    const SteadyTime start = std::chrono::steady_clock::now();
    SteadyTime last_progress = start;
    size_t written = 0;
    while (true) {
        while (!parts.empty() && parts.front().iov_len == 0) parts = parts.subspan(1);
        if (parts.empty()) co_return Io::kOk;
        if (!socket_.is_open()) co_return broken(EBADF);
        msghdr message{};
        message.msg_iov = parts.data();
        message.msg_iovlen = parts.size();
        const ssize_t sent = ::sendmsg(socket_.native_handle(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EINTR) continue;
            if (errno != EAGAIN && errno != EWOULDBLOCK) co_return broken(errno);
            const SteadyTime deadline = std::min(last_progress, start + extra_time(written)) + timeout;
            const Io ready = co_await wait_for(Direction::kWrite, deadline);
            if (ready != Io::kOk) co_return ready;
            last_progress = std::chrono::steady_clock::now();
            continue;
        }
        auto left = static_cast<size_t>(sent);
        written += left;
        for (iovec& part : parts) {
            const size_t taken = std::min(left, part.iov_len);
            part.iov_base = static_cast<char*>(part.iov_base) + taken;
            part.iov_len -= taken;
            left -= taken;
        }
    }
}

bool TimedSocket::is_dead_while_idle() {
    if (!socket_.is_open()) return true;
    pollfd check{socket_.native_handle(), POLLIN | POLLRDHUP, 0};
    return ::poll(&check, 1, 0) != 0;
}

void TimedSocket::shutdown_send() {
    error_code ignored;
    if (socket_.is_open()) socket_.shutdown(Socket::shutdown_send, ignored);
}

void TimedSocket::close() {
    error_code ignored;
    timer_.cancel();
    timer_at_ = SteadyTime::max();
    socket_.close(ignored);
}

void TimedSocket::reset() {
    error_code ignored;
    if (socket_.is_open()) socket_.set_option(asio::socket_base::linger(true, 0), ignored);
    close();
}

}  // namespace gantry::http
