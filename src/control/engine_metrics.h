#pragma once
// The metrics of the engines, as part of the server's /metrics: engines listen on sockets of their own, so that a Prometheus which
// knows the server would never see them.

#include <memory>
#include <string>
#include <vector>

#include "gateway/tables.h"
#include "http/http.h"
#include "protocol/management/objects.h"

namespace gantry::control {

// What one engine's /metrics said.
struct EngineText {
    std::string model;
    InstanceId instance;
    std::string text;
    BackendKind backend = BackendKind::kEngine;
};

// Their gantry_engine_* families, and what other backends' mean the same, each once, the samples of all with the labels `model` and
// `engine`. Pure.
std::string merge_engine_metrics(const std::vector<EngineText>& engines);

// What one says of itself in these names. Pure.
protocol::management::EngineFigures figures_of(const EngineText& engine);

// Of the client that asks them: how long it waits, what it takes.
http::ClientOptions engine_metrics_client();
// Asks every running engine but custom ones, whose names are not known, many at once; one that does not answer soon is left out. On the
// client's thread.
http::Task<std::vector<EngineText>> ask_engines(http::asio::io_context& io, http::Client& client, std::shared_ptr<const gateway::RouteTable> routes);

}  // namespace gantry::control
