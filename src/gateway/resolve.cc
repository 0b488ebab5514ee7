#include "gateway/resolve.h"

#include <fmt/format.h>

#include "base/log.h"

namespace gantry::gateway {

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
    if (entry.targets.empty()) {
        return unavailable(fmt::format("The model '{}' is not ready: {}. Try again in a moment.", name,
                                       entry.not_ready_reason.empty() ? "it has no running instance" : entry.not_ready_reason),
                           "no_ready_instance");
    }
    return &entry;
}

int retry_after_s(const RouteTable& table, const std::string& name) {
    constexpr int kLoadingRetrySeconds = 2;
    const auto found = table.models.find(name);
    return found == table.models.end() || found->second.stopped ? 0 : kLoadingRetrySeconds;
}

}  // namespace gantry::gateway
