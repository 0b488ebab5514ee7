#pragma once
// The server's end of the links of workers elsewhere (ADR 11): the routes below /cluster/v1, their streams of events, and the
// connections that they keep ready for the server to reach their engines by.
//
// A connection of data is idle until somebody dials: then the server writes "<instance id>\n" and reads "ok\n", or "no <why>\n",
// before the first request goes out on it; so that an idle one that broke unnoticed is found out while another can be taken.
// Threads: the io thread, but for poke().

#include <deque>
#include <map>
#include <memory>

#include "control/cluster/joining.h"
#include "control/cluster/sessions.h"
#include "control/control.h"
#include "http/http.h"

namespace gantry::control {

inline constexpr char kClusterProtocol[] = "gantry-worker/1";
inline constexpr char kDataProtocol[] = "gantry-data/1";
inline constexpr char kWorkerItself[] = "@worker";          // instead of an instance: the worker's own HTTP

class Link {
public:
    static constexpr std::chrono::seconds kPingEvery{5};
    static constexpr size_t kIdleMax = 64;                  // connections of data kept of one worker
    static constexpr std::chrono::milliseconds kAnswerWithin{3'000};
    static constexpr std::chrono::seconds kComeBackWithin{15};             // after a start of the server
    static constexpr std::chrono::milliseconds kReconnectsWithin{2'000};    // after its connection broke; it tries after 0.2 s

    struct Parts {
        http::asio::io_context& io;
        http::BlockingPool& pool;
        Sessions& sessions;
        Joining& joining;
        Alarms& alarms;
        Heartbeat& heartbeat;
        std::function<void(const WorkerId&)> connected;     // its stream of events has opened
    };
    explicit Link(Parts parts) : parts_(std::move(parts)) {}

    void add_routes(http::Router& router);
    // For http::ClientOptions::dialer. kUnavailable: the worker isn't connected, or says why not.
    http::Task<Result<http::Stream>> dial(std::string endpoint, SteadyTime deadline);
    // The worker should ask for its assignment. Threads: any.
    void poke(const WorkerId& worker);
    // Ends the streams of events and closes what is idle. Threads: any.
    void stop();

private:
    struct EventStream {
        explicit EventStream(http::asio::io_context& io) : wake(io) {}
        http::Signal wake;
        bool poke = true;               // at first: it may have missed some
        size_t connect = 0;             // so many connections are wanted
    };
    struct Peer {
        explicit Peer(http::asio::io_context& io) : arrived(io) {}
        std::vector<EventStream*> events;
        std::deque<http::Stream> idle;  // the youngest last
        http::Signal arrived;
        size_t waiting = 0;             // for a connection
        SteadyTime left_at{};           // when the last of `events` ended
    };
    class Listening;                    // an EventStream among its peer's, as long as it lives

    http::Task<void> join(http::Exchange& exchange);
    http::Task<void> renew(http::Exchange& exchange);
    http::Task<void> take_report(http::Exchange& exchange);
    http::Task<void> events(http::Exchange& exchange);
    http::Task<void> data(http::Exchange& exchange);
    http::Task<bool> hand_over(http::Stream& stream, const std::string& instance, std::string& refusal);
    Peer& peer(const WorkerId& worker) { return peers_.try_emplace(worker, parts_.io).first->second; }

    Parts parts_;
    const SteadyTime started_at_ = std::chrono::steady_clock::now();
    std::map<WorkerId, Peer> peers_;    // of members that were there once; stay where they are
    bool stopping_ = false;
};

}  // namespace gantry::control
