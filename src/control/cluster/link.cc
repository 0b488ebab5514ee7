#include "control/cluster/link.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/post.hpp>

#include "base/log.h"
#include "base/metrics.h"
#include "control/api/api.h"

namespace gantry::control {
namespace {

using http::Exchange;
using http::Task;

constexpr size_t kAckBytesMax = 1024;
constexpr size_t kIncarnationMax = 64;

Task<void> refuse(Exchange& exchange, Error error) {
    http::Response response = to_response(error_answer(error));
    co_await exchange.respond(std::move(response));
}

Sessions::Caller caller_of(const Exchange& exchange) { return {WorkerId(exchange.request().peer_certificate), exchange.request().peer}; }

// What a handler on the pool gave: its JSON, or an error.
Task<void> respond_with(Exchange& exchange, Result<std::string> body) {
    if (!body) {
        co_await refuse(exchange, std::move(body).error());
        co_return;
    }
    http::Response response = http::json_response(200, *std::move(body));
    co_await exchange.respond(std::move(response));
}

bool is_incarnation(std::string_view text) {
    return !text.empty() && text.size() <= kIncarnationMax &&
           std::all_of(text.begin(), text.end(), [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); });
}

}  // namespace

class Link::Listening {
public:
    Listening(Link& link, WorkerId worker, std::string incarnation)
        : stream(link.parts_.io), link_(link), worker_(std::move(worker)), incarnation_(std::move(incarnation)) {
        link_.peer(worker_).events.push_back(&stream);
    }
    ~Listening() {
        Peer& peer = link_.peer(worker_);
        std::erase(peer.events, &stream);
        if (peer.events.empty()) peer.left_at = std::chrono::steady_clock::now();
        link_.parts_.sessions.closed(worker_, incarnation_);
    }
    Listening(const Listening&) = delete;
    Listening& operator=(const Listening&) = delete;

    EventStream stream;

private:
    Link& link_;
    const WorkerId worker_;
    const std::string incarnation_;
};

Task<void> Link::join(Exchange& exchange) {
    const http::Request& request = exchange.request();
    auto done = co_await parts_.pool.run([this, &request]() -> Result<std::string> {
        const auto asked = protocol::decode_join_request(request.body);
        if (!asked) return asked.error();
        const auto answer = parts_.joining.join(*asked, request.peer);
        if (!answer) return answer.error();
        return protocol::encode(*answer);
    });
    co_await respond_with(exchange, std::move(done));
}

Task<void> Link::renew(Exchange& exchange) {
    const http::Request& request = exchange.request();
    auto done = co_await parts_.pool.run([this, &request]() -> Result<std::string> {
        const WorkerId worker(request.peer_certificate);
        if (!parts_.sessions.is_member(worker)) return Error{ErrorCode::kPermissionDenied, "this worker was removed", {}, "worker_removed"};
        const auto asked = protocol::decode_renew_request(request.body);
        if (!asked) return asked.error();
        const auto answer = parts_.joining.renew(worker, *asked);
        if (!answer) return answer.error();
        return protocol::encode(*answer);
    });
    co_await respond_with(exchange, std::move(done));
}

Task<void> Link::take_report(Exchange& exchange) {
    const http::Request& request = exchange.request();
    const Sessions::Caller caller = caller_of(exchange);
    auto done = co_await parts_.pool.run([this, &request, &caller]() -> Result<std::string> {
        auto report = protocol::decode_exchange_request(request.body);
        if (!report) {
            if (parts_.sessions.is_member(caller.worker)) {
                parts_.alarms.raise({"refuse_report", caller.worker, caller.worker.text, caller.peer, report.error().message, 400});
            }
            return report.error();
        }
        const auto answer = parts_.sessions.exchange(caller, *std::move(report));
        if (!answer) return answer.error();
        return protocol::encode(*answer);
    });
    co_await respond_with(exchange, std::move(done));
}

Task<void> Link::events(Exchange& exchange) {
    static auto& connected = metrics::gauge("gantry_workers_connected", "Workers elsewhere that listen for events");
    const Sessions::Caller caller = caller_of(exchange);
    const std::string incarnation(exchange.request().query_value("incarnation"));
    if (!is_incarnation(incarnation)) {
        co_await refuse(exchange, invalid_argument("\"incarnation\" must be 1 to 64 lower-case letters and digits", "incarnation"));
        co_return;
    }
    const Status opened = co_await parts_.pool.run([&] { return parts_.sessions.opened(caller, incarnation); });
    if (!opened) {
        co_await refuse(exchange, opened.error());
        co_return;
    }
    Listening listening(*this, caller.worker, incarnation);
    EventStream& mine = listening.stream;
    exchange.on_client_gone([&mine] { mine.wake.notify(); });
    parts_.connected(caller.worker);
    http::Headers headers{{"content-type", "text/event-stream"}};
    const bool began = co_await exchange.start_stream(200, std::move(headers));
    if (!began) co_return;
    log::info("worker {} is connected, from {}", caller.worker.text, caller.peer);
    connected.Increment();
    while (!exchange.client_gone() && !stopping_ && parts_.sessions.may_link(caller.worker)) {
        std::string text;
        if (std::exchange(mine.poke, false)) text += http::sse_event("1", "poke");
        if (const size_t wanted = std::exchange(mine.connect, 0); wanted > 0) text += http::sse_event(std::to_string(wanted), "connect");
        if (text.empty()) text = http::sse_event("1", "ping");
        const bool written = co_await exchange.write(text);
        if (!written) break;
        if (!mine.poke && mine.connect == 0) co_await mine.wake.wait(kPingEvery);
    }
    connected.Decrement();
    exchange.on_client_gone({});
    log::info("worker {} is no longer connected", caller.worker.text);
    if (!exchange.client_gone()) co_await exchange.finish();
}

Task<void> Link::data(Exchange& exchange) {
    const WorkerId worker = caller_of(exchange).worker;
    if (stopping_ || !parts_.sessions.may_link(worker)) {
        co_await refuse(exchange, Error{ErrorCode::kPermissionDenied, "this worker was removed, or is refused", {}, "worker_refused"});
        co_return;
    }
    auto stream = co_await exchange.take_over(kDataProtocol);
    if (!stream) co_return;
    parts_.heartbeat.sign_of_life(worker);
    Peer& from = peer(worker);
    std::erase_if(from.idle, [](const http::Stream& one) { return one.dead(); });
    if (from.idle.size() >= kIdleMax) from.idle.pop_front();
    from.idle.push_back(std::move(*stream));
    from.arrived.notify();
}

// False: it broke, another may do. `refusal`: the worker said no.
Task<bool> Link::hand_over(http::Stream& stream, const std::string& instance, std::string& refusal) {
    const bool asked = co_await stream.write(instance + "\n", kAnswerWithin);
    std::string answer;
    while (asked && answer.find('\n') == std::string::npos && answer.size() < kAckBytesMax) {
        auto more = co_await stream.read(kAnswerWithin);
        if (!more || more->empty()) co_return false;
        answer += *more;
    }
    const size_t end = answer.find('\n');
    if (!asked || end == std::string::npos) co_return false;
    if (answer.substr(0, end) == "ok") {
        if (end + 1 < answer.size()) stream.unread(answer.substr(end + 1));
        co_return true;
    }
    refusal = log::escape(answer.substr(0, end).substr(std::min<size_t>(3, end)), 256);
    co_return false;
}

Task<Result<http::Stream>> Link::dial(std::string endpoint, SteadyTime deadline) {
    static auto& dialed = metrics::counter("gantry_worker_dials_total", "Connections to engines of workers elsewhere");
    const std::string_view rest = std::string_view(endpoint).substr(std::min(endpoint.size(), std::string_view(kWorkerEndpoint).size()));
    const size_t slash = rest.find('/');
    if (slash == std::string_view::npos) co_return invalid_argument("an endpoint elsewhere is written worker:WORKER/INSTANCE");
    const WorkerId worker{std::string(rest.substr(0, slash))};
    const std::string instance(rest.substr(slash + 1));
    if (!parts_.sessions.is_member(worker)) co_return unavailable("its worker was removed");
    Peer& to = peer(worker);
    while (std::chrono::steady_clock::now() < deadline && !stopping_) {
        std::erase_if(to.idle, [](const http::Stream& one) { return one.dead(); });
        if (to.idle.empty()) {
            // After a start of the server workers come back one by one, and one whose connection broke mostly at once; who asks
            // meanwhile waits a little.
            const SteadyTime now = std::chrono::steady_clock::now();
            const SteadyTime back_by = std::max<SteadyTime>(started_at_ + kComeBackWithin, to.left_at + kReconnectsWithin);
            if (to.events.empty() && now >= back_by) co_return unavailable("its worker is not connected");
            ++to.waiting;
            for (EventStream* one : to.events) {
                one->connect = std::max(one->connect, to.waiting);
                one->wake.notify();
            }
            const SteadyTime end = to.events.empty() ? std::min(deadline, back_by) : deadline;
            const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - now);
            co_await to.arrived.wait(std::min<std::chrono::milliseconds>(left, kAnswerWithin));
            --to.waiting;
            continue;
        }
        http::Stream stream = std::move(to.idle.back());
        to.idle.pop_back();
        std::string refusal;
        const bool given = co_await hand_over(stream, instance, refusal);
        if (!refusal.empty()) co_return unavailable("its worker says: " + refusal);
        if (!given) continue;
        parts_.heartbeat.sign_of_life(worker);
        dialed.Increment();
        co_return stream;
    }
    co_return unavailable("its worker gave no connection in time");
}

void Link::poke(const WorkerId& worker) {
    http::asio::post(parts_.io, [this, worker] {
        for (EventStream* one : peer(worker).events) {
            one->poke = true;
            one->wake.notify();
        }
    });
}

void Link::stop() {
    http::asio::post(parts_.io, [this] {
        stopping_ = true;
        for (auto& [id, one] : peers_) {
            for (EventStream* stream : one.events) stream->wake.notify();
            one.idle.clear();
            one.arrived.notify();
        }
    });
}

void Link::add_routes(http::Router& router) {
    router.add({"POST", "/cluster/v1/join", gateway::kJoin, [this](Exchange& x) { return join(x); }, protocol::kJoinBytesMax});
    router.add({"POST", "/cluster/v1/renew", gateway::kLink, [this](Exchange& x) { return renew(x); }, protocol::kJoinBytesMax});
    router.add({"POST", "/cluster/v1/exchange", gateway::kLink, [this](Exchange& x) { return take_report(x); }, protocol::kExchangeBytesMax});
    router.add({"GET", "/cluster/v1/events", gateway::kLink, [this](Exchange& x) { return events(x); }});
    router.add({"POST", "/cluster/v1/data", gateway::kLink, [this](Exchange& x) { return data(x); }});
}

}  // namespace gantry::control
