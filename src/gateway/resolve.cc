#include "gateway/resolve.h"

#include <fmt/format.h>

#include "base/log.h"
#include "gateway/policies/weighted.h"

namespace gantry::gateway {

Result<std::string> named(std::string model) {
    if (model.empty()) return invalid_argument("model is missing: name one of those that GET /v1/models lists.", "model");
    return model;
}

Result<const ModelEntry*> resolve(const RouteTable& table, const std::string& name) {
    const auto found = table.models.find(name);
    if (found == table.models.end()) {
        return Error{ErrorCode::kNotFound,
                     fmt::format("The model '{}' does not exist here. GET /v1/models lists those that do.",
                                 log::escape(name, 128)),
                     "model", "model_not_found"};
    }
    const ModelEntry& entry = found->second;
    if (entry.stopped) {
        return unavailable(fmt::format("The model '{}' is stopped. Start it first (gantry start {}).", name, name),
                           "model_stopped");
    }
    if (entry.targets.empty() && !entry.holds) {
        return unavailable(fmt::format("The model '{}' is not ready: {}. Try again in a moment.", name,
                                       entry.not_ready_reason.empty() ? "it has no running instance" : entry.not_ready_reason),
                           "no_ready_instance");
    }
    return &entry;
}

bool answers(const ModelEntry& entry) { return !entry.stopped && (!entry.targets.empty() || entry.holds); }

Result<std::vector<const ModelEntry*>> resolve_ways(const RouteTable& table, const std::string& name, double uniform) {
    const auto route = table.routes.find(name);
    if (route == table.routes.end()) {
        const Result<const ModelEntry*> entry = resolve(table, name);
        if (!entry) return entry.error();
        return std::vector<const ModelEntry*>{*entry};
    }
    std::vector<const ModelEntry*> ready;
    std::vector<uint32_t> weights;
    for (const RouteTarget& target : route->second.targets) {
        const auto entry = resolve(table, target.model);
        if (!entry || target.weight == 0) continue;
        ready.push_back(*entry);
        weights.push_back(target.weight);
    }
    std::vector<const ModelEntry*> ways;
    if (const auto picked = pick_weighted(weights, uniform)) ways.push_back(ready[*picked]);
    const auto fallback = resolve(table, route->second.fallback);
    if (fallback && (ways.empty() || ways.front() != *fallback)) ways.push_back(*fallback);
    if (!ways.empty()) return ways;
    return unavailable(fmt::format("The model '{}' is not ready: none of those behind it has a running instance. Try again in a moment.", name),
                       "no_ready_instance");
}

ModelEntry shown_as_model(const RouteTable& table, const Route& route) {
    std::vector<std::string> names;
    for (const RouteTarget& target : route.targets) names.push_back(target.model);
    names.push_back(route.fallback);
    ModelEntry shown;
    shown.not_ready_reason = "none of the models behind it has a running instance";
    bool known = false;
    for (const std::string& name : names) {
        const auto found = table.models.find(name);
        if (found == table.models.end()) continue;
        const bool ready = answers(found->second);
        if (known && !ready) continue;
        shown = found->second;
        known = true;
        if (ready) break;
    }
    shown.name = route.name;
    shown.outside.reset();
    shown.created_at = route.created_at;
    return shown;
}

int retry_after_s(const RouteTable& table, const std::string& name) {
    constexpr int kLoadingRetrySeconds = 2;
    if (table.routes.contains(name)) return kLoadingRetrySeconds;
    const auto found = table.models.find(name);
    return found == table.models.end() || found->second.stopped ? 0 : kLoadingRetrySeconds;
}

}  // namespace gantry::gateway
