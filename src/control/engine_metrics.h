#pragma once
// The metrics of the engines, as part of the server's /metrics: engines listen on sockets of their own, so that a Prometheus which
// knows the server would never see them.

#include <string>
#include <vector>

#include "gateway/tables.h"

namespace gantry::control {

// What one engine's /metrics said.
struct EngineText {
    std::string model;
    InstanceId instance;
    std::string text;
};

// Their gantry_engine_* families, each once, the samples of all with the labels `model` and `engine`. Pure.
std::string merge_engine_metrics(const std::vector<EngineText>& engines);

// Asks every running engine but custom ones, whose names are not known; one that does not answer soon is left out. Blocks.
std::string engine_metrics(const gateway::RouteTable& routes);

}  // namespace gantry::control
