#pragma once
// Which sockets have something to read or room to write, for TimedSocket. Beside Asio's own reactor, which asks the kernel anew
// for each wait: here a socket is registered once, edge-triggered, and one wait of Asio's stands for all of them. It is as
// pending as they are: an io_context runs on while a socket is waited for, and ends when none is. Private to this folder.
//
// Who sleeps is woken late: by some microseconds, in a virtual machine by ten or more. So a turn in which a peer spoke again at once
// (one client's next request, the engine's answer to it) looks for more for a moment before it sleeps. Of each tenth of a second a
// twentieth may pass so in vain. Of many peers each is slower, and nobody looks.
// Threads: that of the io_context.

#include <sys/epoll.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/clock.h"

namespace gantry::http {

class Poller final : public boost::asio::execution_context::service {
public:
    class Watched {
    public:
        virtual void on_ready(uint32_t events) = 0;   // EPOLLIN and so on; may destroy it
        virtual void on_turn_end() = 0;               // once after each flush_later()
        virtual void on_shutdown() = 0;               // the io_context goes: lets go of whoever waits
        SteadyTime spoke_at{};                        // last, as the poller saw it
    protected:
        ~Watched() = default;
    };

    static boost::asio::execution_context::id id;
    explicit Poller(boost::asio::execution_context& owner);
    ~Poller() override;
    static Poller& of(boost::asio::io_context& io) { return boost::asio::use_service<Poller>(io); }

    // errno, or 0. What is ready already is told in a later turn.
    int add(int fd, Watched& watched);
    void remove(int fd, Watched& watched);
    void want();     // somebody waits
    void unwant();   // no longer

    // What a turn writes leaves together at its end: whoever it wakes is woken once and works while the rest is sent, and what must come
    // before (a record of usage) is done once for all.
    class Send {
    public:
        virtual ~Send() = default;
        virtual void send() = 0;   // to the kernel, and nothing else
        virtual void sent() = 0;   // goes on behind it, once all are sent
    };
    bool turning() const { return turning_; }
    void send_later(std::unique_ptr<Send> send);          // in a turn only, all three
    void flush_later(Watched& watched);
    // Memory of what is kept until then: few have some at a time, though many write.
    std::string take_buffer();
    void give_buffer(std::string buffer);
    void before_sends(std::function<void()> work);

private:
    void shutdown() override;
    void arm();
    void turn();
    void send_all();
    void rest(bool looked, bool at_once);

    static constexpr size_t kEventsMax = 256;   // then others have a turn
    static constexpr size_t kSendsMax = 32;     // then they leave before the turn's end
    static constexpr size_t kBufferBytesMax = 16u << 10;   // longer ones are not kept
    static constexpr std::chrono::microseconds kAtOnce{200}, kLook{50};
    static constexpr std::chrono::milliseconds kVainEach{100}, kVainMost{5};

    boost::asio::io_context& io_;
    int epoll_ = -1;
    boost::asio::posix::stream_descriptor outer_;   // owns epoll_
    std::unordered_set<Watched*> all_;
    std::array<epoll_event, kEventsMax> events_{};
    size_t at_ = 0, count_ = 0;                     // of events_, in a turn
    std::vector<std::unique_ptr<Send>> sends_;
    std::vector<std::string> buffers_;
    std::vector<Watched*> flushes_;                 // null: closed meanwhile
    std::vector<std::function<void()>> before_sends_;
    size_t wanted_ = 0;
    bool armed_ = false;
    bool turning_ = false;
    bool disarming_ = false;
    bool looking_ = false;                          // the next turn is posted, nothing armed
    SteadyTime look_from_{};
    SteadyTime vain_from_{};                        // when `vain_` was nothing
    std::chrono::nanoseconds vain_{};
};

}  // namespace gantry::http
