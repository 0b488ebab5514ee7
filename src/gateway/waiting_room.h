#pragma once
// Requests to models that are asleep, held until an instance serves. The first one asks for the model to be woken; all of them go on
// when the tables have a target, or are told why none will come as soon as the tables say so. A client that leaves gives up its place.
// Internal to the gateway. Threads: the io thread.

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "gateway/activity.h"
#include "gateway/answers.h"
#include "gateway/gateway.h"
#include "gateway/gateway_metrics.h"
#include "gateway/live_requests.h"
#include "gateway/tables.h"
#include "http/http.h"

namespace gantry::gateway {

struct HeldRequest {
    const ModelEntry* model = nullptr;       // as it was found; outlives the hold
    bool stream = false;                     // its answer begins at once, with pings
    SteadyTime begun{};
    LiveRequests::Entry* live = nullptr;
};

class WaitingRoom {
public:
    WaitingRoom(http::asio::io_context& io, Tables& tables, const Clock& clock, Activity& activity, GatewayMetrics& metrics,
                const GatewayOptions& options);
    ~WaitingRoom();
    WaitingRoom(const WaitingRoom&) = delete;
    WaitingRoom& operator=(const WaitingRoom&) = delete;

    // Whether a request for it has to be held now.
    bool needed(const ModelEntry& model) const;

    struct Outcome {
        std::shared_ptr<const RouteTable> routes;   // keeps `model` alive
        const ModelEntry* model = nullptr;          // with targets; null: `refusal` says why
        Refusal refusal;
    };
    // REQUIRES: behind authentication. The request is counted in the activity of the model's deployment.
    http::Task<Outcome> hold(http::Exchange& exchange, HeldRequest request);
    // The server stops: whoever is held is told so, and whoever comes.
    void close();

private:
    // Those who wait for one deployment.
    struct Room {
        std::string model;
        std::shared_ptr<http::Signal> changed;   // shared: with callbacks of exchanges that go on
        uint32_t waiting = 0;
        SteadyTime since{};
        bool woke = false;
    };
    class Place;

    std::optional<Outcome> look(const http::Exchange& exchange, const HeldRequest& request);
    void look_around();                      // the tables changed, or deployments were opened
    http::Task<void> ping(http::Exchange& exchange);
    void wake(const http::Exchange& exchange, const HeldRequest& request);

    http::asio::io_context& io_;
    Tables& tables_;
    const Clock& clock_;
    Activity& activity_;
    GatewayMetrics& metrics_;
    const uint32_t places_;                      // for one deployment
    const std::chrono::milliseconds longest_;
    const std::chrono::milliseconds ping_every_;
    const Wake wake_;
    std::unordered_map<DeploymentId, Room> rooms_;   // those where somebody waits; its elements stay where they are
    bool closing_ = false;
};

}  // namespace gantry::gateway
