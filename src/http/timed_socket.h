#pragma once
// A stream socket (TCP or Unix) whose every wait has a deadline. Private to this folder.
//
// It costs little while idle: no buffer of its own (bytes are received into one scratch area a thread), and one timer that
// is moved only when a deadline comes nearer; a deadline that moves away is looked at when the timer fires.
// At most one read and one write in progress at a time.

#include <sys/uio.h>

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <span>
#include <string>

#include "http/http.h"

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

class TimedSocket : public std::enable_shared_from_this<TimedSocket> {
public:
    using Socket = asio::generic::stream_protocol::socket;

    explicit TimedSocket(asio::io_context& io) : socket_(io), timer_(io) {}
    explicit TimedSocket(Socket socket);

    Socket& socket() { return socket_; }
    bool is_open() const { return socket_.is_open(); }
    int last_error() const { return last_error_; }  // errno behind the last kBroken; 0: none

    Task<Io> connect(asio::generic::stream_protocol::endpoint endpoint, SteadyTime deadline);
    Task<Io> wait_readable(SteadyTime deadline);
    // Appends what has arrived, `limit` bytes at most.
    Io try_read(std::string& into, size_t limit);
    Task<Io> read(std::string& into, size_t limit, SteadyTime deadline);
    // Writes all parts, in one system call if the kernel takes them; moves the parts forward as it goes.
    Task<Io> write(std::span<iovec> parts, std::chrono::milliseconds timeout);

    // True when the other side closed or reset, or (kept connections) sent what nobody asked for. Doesn't wait.
    bool is_dead_while_idle();
    void shutdown_send();
    void close();
    void reset();   // the other side sees a broken connection, never a proper end

private:
    enum class Direction { kRead, kWrite };
    Task<Io> wait_for(Direction direction, SteadyTime deadline);
    void arm(SteadyTime deadline);
    void start_timer(SteadyTime at);
    void on_timer();
    Io broken(int error);

    Socket socket_;
    asio::steady_timer timer_;
    SteadyTime deadline_ = SteadyTime::max();  // of the wait in progress
    SteadyTime timer_at_ = SteadyTime::max();  // what the timer is set to; max: not set
    bool timed_out_ = false;
    int last_error_ = 0;
};

constexpr size_t kReadBytesMax = 64 * 1024;

}  // namespace gantry::http
