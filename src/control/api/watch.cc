// GET /api/v1/watch: one stream of changes for all kinds (API.md). A coroutine, since it lives as long as its reader.
#include <boost/asio/post.hpp>
#include <fmt/format.h>

#include <algorithm>

#include "control/api/api.h"

namespace gantry::control {
namespace {

constexpr std::chrono::milliseconds kPingEvery{15'000};
constexpr size_t kWriteBytes = 64 * 1024;   // events are joined to writes of about this size

Result<std::set<std::string>> wanted_kinds(const http::Request& request) {
    std::set<std::string> kinds;
    std::string_view rest = request.query_value("kinds");
    if (rest.empty()) return std::set<std::string>(std::begin(kWatchKinds), std::end(kWatchKinds));
    while (!rest.empty()) {
        const size_t comma = rest.find(',');
        const std::string kind(rest.substr(0, comma));
        rest = comma == std::string_view::npos ? std::string_view{} : rest.substr(comma + 1);
        if (std::find(std::begin(kWatchKinds), std::end(kWatchKinds), kind) == std::end(kWatchKinds)) {
            return invalid_argument("\"kinds\" must be some of deployments,instances,workers,models,routes,benchmarks, with commas between",
                                    "kinds");
        }
        kinds.insert(kind);
    }
    return kinds;
}

std::string text_of(const WatchEvent& event, bool admin) {
    if (event.object == nullptr) return http::sse_event("{}", to_string(event.type));
    const std::string& object = admin ? event.object->for_admins : event.object->for_users;
    return http::sse_event(fmt::format("{{\"kind\":\"{}\",\"object\":{}}}", event.kind, object), to_string(event.type));
}

bool may_see(const Principal& who, const WatchEvent& event) {
    return event.object == nullptr || event.object->owner.empty() || who.role == Role::kAdmin || event.object->owner == who.user_id.text;
}

http::Task<bool> write_batch(http::Exchange& exchange, const std::vector<WatchEvent>& events) {
    const Principal& who = gateway::principal(exchange);
    std::string text;
    for (const WatchEvent& event : events) {
        if (!may_see(who, event)) continue;
        text += text_of(event, who.role == Role::kAdmin);
        if (text.size() < kWriteBytes) continue;
        const bool written = co_await exchange.write(text);
        if (!written) co_return false;
        text.clear();
    }
    if (text.empty()) co_return true;
    co_return co_await exchange.write(text);
}

http::Task<void> stream(ApiContext& api, http::Exchange& exchange, Subscription& subscription, http::Signal& arrived) {
    std::chrono::milliseconds idle{0};
    while (true) {
        const Subscription::Batch batch = subscription.take();
        if (!still_allowed(api, exchange)) break;
        const bool written = co_await write_batch(exchange, batch.events);
        if (!written || exchange.client_gone()) co_return;
        if (batch.lost) {
            const std::string resync = http::sse_event("{}", "resync");
            co_await exchange.write(resync);
        }
        if (batch.lost || batch.closed) break;
        if (!batch.events.empty()) continue;  // more may have come while these were written
        const bool woken = co_await arrived.wait(kAskEvery);
        if (exchange.client_gone()) co_return;
        idle = woken ? std::chrono::milliseconds(0) : idle + kAskEvery;
        if (idle >= kPingEvery) {
            idle = {};
            const bool pinged = co_await exchange.write(http::kSsePing);
            if (!pinged) co_return;
        }
    }
    co_await exchange.finish();
}

http::Task<void> refuse(http::Exchange& exchange, Error error) {
    http::Response response = to_response(error_answer(error));
    co_await exchange.respond(std::move(response));
}

http::Task<void> watch(ApiContext& api, http::Exchange& exchange) {
    const auto kinds = wanted_kinds(exchange.request());
    if (!kinds) {
        co_await refuse(exchange, kinds.error());
        co_return;
    }
    // Shared: a wake-up posted by another thread may still be under way when this coroutine ends.
    auto arrived = std::make_shared<http::Signal>(api.io);
    const std::function<void()> wake = [&io = api.io, arrived] {
        boost::asio::post(io, [arrived] { arrived->notify(); });
    };
    const auto subscription = co_await api.pool.run([&api, &kinds, &wake] { return api.publisher.subscribe(*kinds, wake); });
    if (subscription == nullptr) {
        co_await refuse(exchange, unavailable("too many watch already: close some of the streams, or list instead"));
        co_return;
    }
    exchange.on_client_gone([arrived] { arrived->notify(); });
    http::Headers headers{{"content-type", "text/event-stream"}, {"cache-control", "no-store"}};
    const bool began = co_await exchange.start_stream(200, std::move(headers));
    if (!began) co_return;
    co_await stream(api, exchange, *subscription, *arrived);
}

}  // namespace

void add_watch_routes(http::Router& router, ApiContext& api) {
    router.add({"GET", "/api/v1/watch", gateway::kUser,
                [&api](http::Exchange& exchange) { return watch(api, exchange); }});
}

}  // namespace gantry::control
