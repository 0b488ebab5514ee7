#include "http/timed_socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>

#include "base/assert.h"

namespace gantry::http {
namespace {

template <class Handler>
struct WaiterOf final : TimedSocket::Waiter {
    explicit WaiterOf(Handler h) : handler(std::move(h)) {}
    void resume(Io how) override { handler(how); }
    Handler handler;
};

// A write of a turn. The parts stand in the frame of who waits for it.
template <class Handler, class Write>
struct SendOf final : Poller::Send {
    SendOf(Handler h, Write w) : handler(std::move(h)), write(std::move(w)) {}
    void send() override { how = write(); }
    void sent() override { handler(how); }
    Handler handler;
    Write write;
    Io how = Io::kBroken;
};

}  // namespace

using boost::system::error_code;

std::chrono::milliseconds extra_time(size_t bytes) {
    return std::chrono::milliseconds(static_cast<int64_t>(bytes / (kBytesPerSecondMin / 1000)));
}

TimedSocket::TimedSocket(asio::io_context& io, int connected) : TimedSocket(io) { open(connected); }

TimedSocket::~TimedSocket() { close(); }

bool TimedSocket::open(int fd) {
    const int failed = poller_.add(fd, *this);
    if (failed != 0) {
        ::close(fd);
        last_error_ = failed;
        return false;
    }
    fd_ = fd;
    return true;
}

std::string TimedSocket::last_error() const {
    if (tls_ && !tls_->failure().empty()) return tls_->failure();
    return last_error_ != 0 ? std::strerror(last_error_) : "";
}

Io TimedSocket::broken(int error) {
    last_error_ = error;
    return Io::kBroken;
}

// ---- deadlines

void TimedSocket::arm(Direction direction, SteadyTime deadline) {
    deadline_of(direction) = deadline;
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
    const SteadyTime now = std::chrono::steady_clock::now();
    const auto take_late = [this, now](Direction direction, std::unique_ptr<Waiter>& waiter) {
        if (deadline_of(direction) > now) return std::unique_ptr<Waiter>();
        deadline_of(direction) = SteadyTime::max();
        return end_wait(waiter);
    };
    const auto reader = take_late(Direction::kRead, reader_);
    const auto writer = take_late(Direction::kWrite, writer_);
    const SteadyTime next = std::min(read_deadline_, write_deadline_);
    if (next != SteadyTime::max()) start_timer(next);
    if (reader) reader->resume(Io::kTimeout);
    if (writer) writer->resume(Io::kTimeout);
}

// ---- waiting

void TimedSocket::begin_wait(Direction direction, std::unique_ptr<Waiter> waiter) {
    std::unique_ptr<Waiter>& place = direction == Direction::kRead ? reader_ : writer_;
    GANTRY_ASSERT(!place, "two waits for one direction of a socket");
    place = std::move(waiter);
    poller_.want();
}

std::unique_ptr<TimedSocket::Waiter> TimedSocket::end_wait(std::unique_ptr<Waiter>& waiter) {
    if (waiter) poller_.unwant();
    return std::move(waiter);
}

void TimedSocket::on_ready(uint32_t events) {
    const auto self = shared_from_this();  // whoever is resumed may let go of it
    constexpr uint32_t kGone = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
    if ((events & kGone) != 0) hung_up_ = true;
    if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) {
        flush();   // of a stream whose next event may be long in coming
        if (const auto writer = end_wait(writer_)) writer->resume(Io::kOk);
    }
    if ((events & (EPOLLIN | kGone)) == 0) return;
    readable_ = true;
    if (const auto reader = end_wait(reader_)) {
        reader->resume(Io::kOk);
    } else if (watcher_ != nullptr) {
        watcher_->on_arrival();
    }
}

void TimedSocket::on_shutdown() {
    const auto self = weak_from_this().lock();
    const auto reader = end_wait(reader_);
    const auto writer = end_wait(writer_);
}

Task<Io> TimedSocket::wait_for(Direction direction, SteadyTime deadline) {
    const auto self = shared_from_this();
    if (!is_open()) co_return broken(EBADF);
    if (deadline <= std::chrono::steady_clock::now()) co_return Io::kTimeout;
    arm(direction, deadline);
    const auto begin = [this, direction](auto handler) {
        begin_wait(direction, std::make_unique<WaiterOf<decltype(handler)>>(std::move(handler)));
    };
    const Io how = co_await asio::async_initiate<const asio::use_awaitable_t<>, void(Io)>(begin, asio::use_awaitable);
    deadline_of(direction) = SteadyTime::max();
    if (!is_open()) co_return broken(ECANCELED);
    co_return how;
}

Task<Io> TimedSocket::wait_readable(SteadyTime deadline) {
    if (readable_ && is_open()) co_return Io::kOk;
    const Io ready = co_await wait_for(Direction::kRead, deadline);
    co_return ready;
}

void TimedSocket::watch(Watcher& watcher) {
    if (watcher_ == nullptr) poller_.want();
    watcher_ = &watcher;
    if (!readable_) return;   // else the kernel has told already
    asio::post(io_, [weak = weak_from_this()] {
        const auto self = weak.lock();
        if (self && self->watcher_ != nullptr && self->readable_) self->watcher_->on_arrival();
    });
}

void TimedSocket::unwatch() {
    if (watcher_ == nullptr) return;
    watcher_ = nullptr;
    poller_.unwant();
}

// ---- reading and writing

Task<Io> TimedSocket::connect(asio::generic::stream_protocol::endpoint endpoint, SteadyTime deadline) {
    const auto self = shared_from_this();
    const int fd = ::socket(endpoint.protocol().family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, endpoint.protocol().protocol());
    if (fd < 0) co_return broken(errno);
    const int connected = ::connect(fd, endpoint.data(), static_cast<socklen_t>(endpoint.size()));
    const int failed = connected == 0 ? 0 : errno;
    if (failed != 0 && failed != EINPROGRESS) {
        ::close(fd);
        co_return broken(failed);
    }
    if (!open(fd)) co_return Io::kBroken;
    if (failed == 0) co_return Io::kOk;
    const Io ready = co_await wait_for(Direction::kWrite, deadline);
    if (ready != Io::kOk) co_return ready;
    int error = 0;
    socklen_t length = sizeof(error);
    ::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error != 0) co_return broken(error);
    co_return Io::kOk;
}

Task<Io> TimedSocket::start_tls(std::unique_ptr<TlsSession> session, SteadyTime deadline) {
    const auto self = shared_from_this();
    if (!is_open()) co_return broken(EBADF);
    tls_ = std::move(session);
    if (!tls_) co_return broken(ENOMEM);
    tls_->attach(*this);
    while (true) {
        const TlsSession::Step step = tls_->handshake();
        if (step == TlsSession::Step::kFailed) co_return Io::kBroken;
        if (step == TlsSession::Step::kDone) break;
        const Direction direction = step == TlsSession::Step::kWantsRead ? Direction::kRead : Direction::kWrite;
        const Io ready = co_await wait_for(direction, deadline);
        if (ready != Io::kOk) co_return ready;
    }
    readable_ = readable_ || tls_->has_more();
    co_return Io::kOk;
}

std::optional<char> TimedSocket::peek() const {
    char byte = 0;
    if (!is_open() || ::recv(fd_, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 1) return std::nullopt;
    return byte;
}

Io TimedSocket::receive(char* into, size_t size, size_t& got) {
    if (!is_open()) return broken(EBADF);
    if (!readable_) return Io::kWouldBlock;
    while (true) {
        const ssize_t came = ::recv(fd_, into, size, MSG_DONTWAIT);
        if (came > 0) {
            // Less than asked for is all there was, and what comes later the kernel tells; but of an end it told once.
            got = static_cast<size_t>(came);
            readable_ = hung_up_ || got == size;
            return Io::kOk;
        }
        if (came == 0) return Io::kEnd;
        if (errno == EINTR) continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            readable_ = false;
            return Io::kWouldBlock;
        }
        return broken(errno);
    }
}

Io TimedSocket::try_read(std::string_view& bytes, size_t limit) {
    // One area for all connections of a thread: nothing is kept in it between two calls.
    thread_local char scratch[kReadBytesMax];
    size_t got = 0;
    Io how = Io::kOk;
    if (tls_) {
        if (!is_open()) return broken(EBADF);
        if (!readable_) return Io::kWouldBlock;
        thread_local std::string plain;
        plain.clear();
        how = tls_->read(plain, std::min(limit, sizeof(scratch)));
        readable_ = readable_ || tls_->has_more();
        got = plain.copy(scratch, sizeof(scratch));
    } else {
        how = receive(scratch, std::min(limit, sizeof(scratch)), got);
    }
    if (how == Io::kOk) bytes = {scratch, got};
    return how;
}

Io TimedSocket::try_read(std::string& into, size_t limit) {
    std::string_view bytes;
    const Io how = try_read(bytes, limit);
    if (how == Io::kOk) into.append(bytes);
    return how;
}

Task<Io> TimedSocket::read(std::string& into, size_t limit, SteadyTime deadline) {
    while (true) {
        const Io got = try_read(into, limit);
        if (got != Io::kWouldBlock) co_return got;
        const Io ready = co_await wait_for(Direction::kRead, deadline);
        if (ready != Io::kOk) co_return ready;
    }
}

Io TimedSocket::transmit(const char* bytes, size_t size, size_t& sent) {
    if (!is_open()) return broken(EBADF);
    while (true) {
        const ssize_t taken = ::send(fd_, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (taken >= 0) {
            sent = static_cast<size_t>(taken);
            return Io::kOk;
        }
        if (errno == EINTR) continue;
        return errno == EAGAIN || errno == EWOULDBLOCK ? Io::kWouldBlock : broken(errno);
    }
}

Task<Io> TimedSocket::write_at_turn_end(std::span<iovec>& parts) {
    const auto begin = [this, &parts](auto handler) {
        auto write = [self = shared_from_this(), &parts] {
            const Io before = self->flush();
            return before == Io::kOk ? self->write_now(parts) : before;
        };
        poller_.send_later(std::make_unique<SendOf<decltype(handler), decltype(write)>>(std::move(handler), std::move(write)));
    };
    return asio::async_initiate<const asio::use_awaitable_t<>, void(Io)>(begin, asio::use_awaitable);
}

Io TimedSocket::write_now(std::span<iovec>& parts) {
    if (tls_) return is_open() ? tls_->write(parts) : broken(EBADF);
    while (true) {
        while (!parts.empty() && parts.front().iov_len == 0) parts = parts.subspan(1);
        if (parts.empty()) return Io::kOk;
        if (!is_open()) return broken(EBADF);
        msghdr message{};
        message.msg_iov = parts.data();
        message.msg_iovlen = parts.size();
        const ssize_t sent = ::sendmsg(fd_, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EINTR) continue;
            return errno == EAGAIN || errno == EWOULDBLOCK ? Io::kWouldBlock : broken(errno);
        }
        auto left = static_cast<size_t>(sent);
        for (iovec& part : parts) {
            const size_t taken = std::min(left, part.iov_len);
            part.iov_base = static_cast<char*>(part.iov_base) + taken;
            part.iov_len -= taken;
            left -= taken;
        }
    }
}

// What was put goes first; in order, since nothing else is sent before it is empty.
Io TimedSocket::flush() {
    if (unsent_.empty()) return Io::kOk;
    std::array<iovec, 1> parts = {iovec{unsent_.data(), unsent_.size()}};
    std::span<iovec> left(parts);
    const Io how = write_now(left);
    if (how == Io::kWouldBlock) {
        unsent_.erase(0, unsent_.size() - parts[0].iov_len);
    } else if (how == Io::kOk) {
        poller_.give_buffer(std::move(unsent_));
        unsent_.clear();
    }
    return how;
}

bool TimedSocket::put(std::span<const iovec> parts) {
    if (!poller_.turning() || !unsent_.empty() || !is_open()) return false;
    unsent_ = poller_.take_buffer();
    for (const iovec& part : parts) unsent_.append(static_cast<const char*>(part.iov_base), part.iov_len);
    poller_.flush_later(*this);
    return true;
}

// How it went, the next write finds out.
void TimedSocket::on_turn_end() { flush(); }

Task<Io> TimedSocket::write(std::span<iovec> parts, std::chrono::milliseconds timeout) {
    const SteadyTime start = std::chrono::steady_clock::now();
    SteadyTime last_progress = start;
    const auto size_of = [](std::span<iovec> rest) {
        size_t size = 0;
        for (const iovec& part : rest) size += part.iov_len;
        return size;
    };
    const size_t all = size_of(parts);
    if (poller_.turning()) {
        const Io sent = co_await write_at_turn_end(parts);
        if (sent != Io::kWouldBlock) co_return sent;
    }
    while (true) {
        Io sent = flush();
        if (sent == Io::kOk) sent = write_now(parts);
        if (sent != Io::kWouldBlock) co_return sent;
        const SteadyTime deadline = std::min(last_progress, start + extra_time(all - size_of(parts))) + timeout;
        const Io ready = co_await wait_for(Direction::kWrite, deadline);
        if (ready != Io::kOk) co_return ready;
        last_progress = std::chrono::steady_clock::now();
    }
}

bool TimedSocket::is_dead_while_idle(bool fresh) {
    if (!is_open() || hung_up_ || (tls_ && tls_->has_more())) return true;
    if (fresh && !readable_) return false;
    pollfd check{fd_, POLLIN | POLLRDHUP, 0};
    return ::poll(&check, 1, 0) != 0;
}

// ---- ends

void TimedSocket::shutdown_send() {
    end_tls();
    if (is_open()) ::shutdown(fd_, SHUT_WR);
}

void TimedSocket::notice_vanished_peer(std::chrono::seconds within) {
    const int seconds = static_cast<int>(within.count());
    const int on = 1, idle_s = seconds / 3, interval_s = seconds / 5, probes = 3, unacknowledged_ms = seconds * 1000;
    ::setsockopt(fd_, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));   // of a Unix socket none of it has an effect
    ::setsockopt(fd_, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
    ::setsockopt(fd_, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
    ::setsockopt(fd_, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
    ::setsockopt(fd_, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged_ms, sizeof(unacknowledged_ms));
}

void TimedSocket::close() {
    timer_.cancel();
    timer_at_ = SteadyTime::max();
    if (!is_open()) return;
    poller_.remove(fd_, *this);
    ::close(fd_);
    fd_ = -1;
    for (std::unique_ptr<Waiter>* waiter : {&reader_, &writer_}) {
        if (!*waiter) continue;
        // Not from in here: whoever closes may be what waits.
        asio::post(io_, [ended = std::shared_ptr<Waiter>(end_wait(*waiter))] { ended->resume(Io::kBroken); });
    }
}

void TimedSocket::reset() {
    const linger hard{1, 0};
    if (is_open()) ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    close();
}

}  // namespace gantry::http
