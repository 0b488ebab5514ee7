#include "gateway/waiting_room.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/post.hpp>

#include "gateway/resolve.h"

namespace gantry::gateway {
namespace {

using http::Exchange;
using http::Task;

constexpr int kHeldRetrySeconds = 5;   // whoever comes again is held again
constexpr std::chrono::milliseconds kRounding{1};

Refusal full(const ModelEntry& model) {
    return Refusal{429,
                   Error{ErrorCode::kRateLimited,
                         fmt::format("The queue of model '{}', which is being woken, is full. Try again in a moment, or send fewer requests at once.",
                                     model.name),
                         {},
                         "queue_full"},
                   kHeldRetrySeconds};
}

Refusal too_long(const ModelEntry& model) {
    const std::string& state = model.not_ready_reason;
    return Refusal(unavailable(fmt::format("The model '{}' was asleep and is not awake yet{}; it goes on waking. Try again in a moment.",
                                           model.name, state.empty() ? "" : ": " + state),
                               "model_waking"),
                   kHeldRetrySeconds);
}

Refusal stopping() {
    return Refusal(unavailable("This server is being stopped, and wakes no model any more. Try again in a moment.", "server_stopping"),
                   kHeldRetrySeconds);
}

}  // namespace

// In a room, as long as it lives.
class WaitingRoom::Place {
public:
    Place(WaitingRoom& all, const ModelEntry& model) : all_(all), deployment_(model.deployment_id) {
        Room& room = all_.rooms_[deployment_];
        if (room.waiting == 0) {
            room.model = model.name;
            room.changed = std::make_shared<http::Signal>(all_.io_);
            room.since = all_.clock_.steady();
        }
        ++room.waiting;
        all_.metrics_.held().Increment();
    }
    ~Place() {
        all_.metrics_.held().Decrement();
        const auto room = all_.rooms_.find(deployment_);
        if (--room->second.waiting == 0) all_.rooms_.erase(room);
    }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    uint32_t number() const { return all_.rooms_.at(deployment_).waiting; }
    std::shared_ptr<http::Signal> changed() const { return all_.rooms_.at(deployment_).changed; }

private:
    WaitingRoom& all_;
    const DeploymentId deployment_;
};

WaitingRoom::WaitingRoom(http::asio::io_context& io, Tables& tables, const Clock& clock, Activity& activity, GatewayMetrics& metrics,
                         const GatewayOptions& options)
    : io_(io), tables_(tables), clock_(clock), activity_(activity), metrics_(metrics), places_(options.queue_limit),
      longest_(options.hold_timeout), ping_every_(options.hold_ping_every), wake_(options.wake) {
    tables_.on_routes([this] { http::asio::post(io_, [this] { look_around(); }); });
    activity_.on_open([this] { look_around(); });
}

WaitingRoom::~WaitingRoom() {
    tables_.on_routes({});
    activity_.on_open({});
}

bool WaitingRoom::needed(const ModelEntry& model) const {
    return !model.outside && (model.targets.empty() || activity_.closed(model.deployment_id));
}

Task<WaitingRoom::Outcome> WaitingRoom::hold(Exchange& exchange, HeldRequest request) {
    const Place place(*this, *request.model);
    if (place.number() > places_) {
        metrics_.queue_full(request.model->name);
        Outcome refused;
        refused.refusal = full(*request.model);
        co_return refused;
    }
    const std::shared_ptr<http::Signal> changed = place.changed();
    exchange.on_client_gone([changed] { changed->notify(); });
    request.live->set_held([changed] { changed->notify(); });
    if (place.number() == 1) wake(exchange, request);
    const SteadyTime deadline = request.begun + longest_;
    SteadyTime ping_at = clock_.steady();
    for (;;) {
        std::optional<Outcome> end = look(exchange, request);
        if (end) {
            request.live->set_held({});
            co_return *std::move(end);
        }
        const SteadyTime now = clock_.steady();
        if (request.stream && now >= ping_at) {
            ping_at = now + ping_every_;
            co_await ping(exchange);
            continue;   // all may be different by now
        }
        const SteadyTime until = request.stream ? std::min(deadline, ping_at) : deadline;
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - now);
        co_await changed->wait(std::max(left, kRounding));
    }
}

// The end of a hold, if it is there; nothing: it goes on.
std::optional<WaitingRoom::Outcome> WaitingRoom::look(const Exchange& exchange, const HeldRequest& request) {
    Outcome end;
    const auto refused = [&end](Refusal refusal) {
        end.refusal = std::move(refusal);
        return end;
    };
    if (exchange.client_gone() || request.live->cancelled() != nullptr) {
        const Error* const why = request.live->cancelled();
        return refused({kStatusClientGone, why != nullptr ? *why : Error{ErrorCode::kCancelled, "The client left.", {}, {}}});
    }
    end.routes = tables_.routes();
    const Result<const ModelEntry*> model = resolve(*end.routes, request.model->name);
    if (!model) return refused(Refusal(model.error(), retry_after_s(*end.routes, request.model->name)));
    if ((*model)->deployment_id != request.model->deployment_id) {
        return refused(Refusal(unavailable(fmt::format("The model '{}' was deployed anew meanwhile. Try again.", request.model->name),
                                           "no_ready_instance"),
                               kHeldRetrySeconds));
    }
    if (!needed(**model)) {
        end.model = *model;
        return end;
    }
    if (closing_) return refused(stopping());
    if (clock_.steady() >= request.begun + longest_) return refused(too_long(**model));
    return std::nullopt;
}

// The tables changed, or a deployment was opened: whoever has nothing more to wait for goes on.
void WaitingRoom::look_around() {
    const auto routes = tables_.routes();
    for (auto& [deployment, room] : rooms_) {
        const Result<const ModelEntry*> model = resolve(*routes, room.model);
        if (model && (*model)->deployment_id == deployment && needed(**model)) continue;
        if (model && !room.woke) {
            room.woke = true;
            metrics_.woke(room.model, clock_.steady() - room.since);
        }
        room.changed->notify();
    }
}

Task<void> WaitingRoom::ping(Exchange& exchange) {
    if (!exchange.started()) {
        http::Headers headers = stream_headers();
        const bool begun = co_await exchange.start_stream(200, std::move(headers));
        if (!begun) co_return;
    }
    co_await exchange.write(http::kSsePing);
}

void WaitingRoom::wake(const Exchange& exchange, const HeldRequest& request) {
    if (!wake_) return;
    const Principal& who = principal(exchange);
    wake_(request.model->deployment_id, {who.user_id, who.user_name, who.key_id, exchange.request().peer, exchange.request().id});
}

void WaitingRoom::close() {
    closing_ = true;
    for (auto& [deployment, room] : rooms_) room.changed->notify();
}

}  // namespace gantry::gateway
