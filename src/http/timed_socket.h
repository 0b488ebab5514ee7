#pragma once
// A stream socket (TCP or Unix) whose every wait has a deadline. Private to this folder.
//
// It costs little while idle: no buffer of its own (bytes are received into one scratch area a thread), and one timer that
// is moved only when a deadline comes nearer; a deadline that moves away is looked at when the timer fires. It costs little
// while busy: the kernel is told once which socket it is (poller.h), and asked for bytes only when it said that there are some.
// At most one read and one write in progress at a time, each with a deadline of its own.

#include <sys/uio.h>

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <span>
#include <string>

#include "http/http.h"
#include "http/poller.h"
#include "http/tls_session.h"

namespace gantry::http {

enum class Io {
    kOk,
    kWouldBlock,  // only from the functions that don't wait
    kEnd,         // the other side closed its side
    kTimeout,
    kBroken,      // reset, closed by us, anything else
};

// Who is slow but moves on is given this much longer for each byte, on top of a timeout; who trickles is cut off, and so is
// who stands still for the whole of the timeout.
constexpr size_t kBytesPerSecondMin = 64 * 1024;
std::chrono::milliseconds extra_time(size_t bytes);

class TimedSocket final : public std::enable_shared_from_this<TimedSocket>, private Poller::Watched {
public:
    explicit TimedSocket(asio::io_context& io) : io_(io), poller_(Poller::of(io)), timer_(io) {}
    TimedSocket(asio::io_context& io, int connected);   // takes the descriptor
    ~TimedSocket();
    TimedSocket(const TimedSocket&) = delete;
    TimedSocket& operator=(const TimedSocket&) = delete;

    asio::io_context& io() { return io_; }
    int native_handle() const { return fd_; }
    bool is_open() const { return fd_ >= 0; }
    std::string last_error() const;                 // what is behind the last kBroken; empty: unknown

    Task<Io> connect(asio::generic::stream_protocol::endpoint endpoint, SteadyTime deadline);
    // From here on what is read and written goes through TLS; done when its handshake is. Before anything was read.
    Task<Io> start_tls(std::unique_ptr<TlsSession> session, SteadyTime deadline);
    // The first byte that has arrived, left where it is; nullopt: none.
    std::optional<char> peek() const;
    Task<Io> wait_readable(SteadyTime deadline);
    // The same for whoever just read in vain.
    Task<Io> wait_for_more(SteadyTime deadline) { return wait_for(Direction::kRead, deadline); }
    // Appends what has arrived, `limit` bytes at most. kWouldBlock: nothing, and the kernel is not asked where it would say so.
    Io try_read(std::string& into, size_t limit);
    Io try_read(std::string_view& bytes, size_t limit);   // the same, left where the next read of this thread puts its own
    Task<Io> read(std::string& into, size_t limit, SteadyTime deadline);
    // Writes what the kernel takes at once, moving the parts forward: kOk when that was all. kWouldBlock also in a turn of the loop,
    // whose writes leave together (poller.h).
    Io try_write(std::span<iovec>& parts) { return poller_.turning() || !unsent_.empty() ? Io::kWouldBlock : write_now(parts); }
    // In a turn: keeps the bytes until its end, when they are sent and nobody is told; what the kernel does not take then goes before the next
    // write. False: nothing was kept, as while there is such a rest. Whoever puts writes in the end, and so learns what became of it.
    bool put(std::span<const iovec> parts);
    // Writes all parts, in one system call if the kernel takes them; moves the parts forward as it goes.
    Task<Io> write(std::span<iovec> parts, std::chrono::milliseconds timeout);

    // Bytes as the kernel gives and takes them, below TLS. kOk: some.
    Io receive(char* into, size_t size, size_t& got);
    Io transmit(const char* bytes, size_t size, size_t& sent);

    // Tells `watcher`, out of a turn of the loop, each time that something arrives or the other side leaves while no read waits.
    struct Watcher {
        virtual void on_arrival() = 0;
    protected:
        ~Watcher() = default;
    };
    void watch(Watcher& watcher);   // again after what it was told was read
    void unwatch();

    // True when the other side closed or reset, or (kept connections) sent what nobody asked for. Doesn't wait.
    // `fresh`: it served a moment ago, so that what the poller told is all there is to know.
    bool is_dead_while_idle(bool fresh);
    void shutdown_send();
    // Of a connection that may be silent for long: a peer whose machine is gone, or behind a NAT that forgot it, breaks it `within`
    // so long. A peer that lives but takes nothing for so long does, too.
    void notice_vanished_peer(std::chrono::seconds within);
    const TlsSession* tls() const { return tls_.get(); }
    void end_tls() { if (tls_) tls_->close_notify(); }   // before a close that is meant; a plain socket's close says it all
    void close();
    void reset();   // the other side sees a broken connection, never a proper end

    // Somebody who waits, as Asio's handler of unknown type.
    struct Waiter {
        virtual ~Waiter() = default;
        virtual void resume(Io how) = 0;   // once
    };

private:
    enum class Direction { kRead, kWrite };
    Task<Io> wait_for(Direction direction, SteadyTime deadline);
    Task<Io> write_at_turn_end(std::span<iovec>& parts);
    Io write_now(std::span<iovec>& parts);
    void begin_wait(Direction direction, std::unique_ptr<Waiter> waiter);
    std::unique_ptr<Waiter> end_wait(std::unique_ptr<Waiter>& waiter);
    void on_ready(uint32_t events) override;
    void on_turn_end() override;
    void on_shutdown() override;
    Io flush();
    bool open(int fd);
    SteadyTime& deadline_of(Direction direction) { return direction == Direction::kRead ? read_deadline_ : write_deadline_; }
    void arm(Direction direction, SteadyTime deadline);
    void start_timer(SteadyTime at);
    void on_timer();
    Io broken(int error);

    asio::io_context& io_;
    Poller& poller_;
    int fd_ = -1;
    std::unique_ptr<TlsSession> tls_;
    asio::steady_timer timer_;
    SteadyTime read_deadline_ = SteadyTime::max();    // of the wait in progress, one each way; max: none
    SteadyTime write_deadline_ = SteadyTime::max();
    SteadyTime timer_at_ = SteadyTime::max();  // what the timer is set to; max: not set
    std::unique_ptr<Waiter> reader_;
    std::unique_ptr<Waiter> writer_;
    Watcher* watcher_ = nullptr;
    std::string unsent_;                       // put, and not yet sent
    int last_error_ = 0;                       // errno
    bool readable_ = false;                    // the kernel said so, and not all was read since; or TLS has some left
    bool hung_up_ = false;                     // the kernel will say nothing more: reading tells
};

constexpr size_t kReadBytesMax = 64 * 1024;

}  // namespace gantry::http
