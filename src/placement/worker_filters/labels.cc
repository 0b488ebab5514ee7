#include <fmt/format.h>

#include "placement/worker_filters/worker_filters.h"

namespace gantry::placement {

Reason refuse_labels(const Worker& worker, const Asked& asked) {
    std::string missing;
    for (const auto& [name, value] : asked.deployment.placement.worker_labels) {
        const auto has = worker.labels.find(name);
        if (has != worker.labels.end() && has->second == value) continue;
        const std::string instead = has == worker.labels.end() ? "" : fmt::format(" (it is {})", has->second);
        missing += fmt::format("{}{}={}{}", missing.empty() ? "" : ", ", name, value, instead);
    }
    if (missing.empty()) return std::nullopt;
    return fmt::format("{} lacks the label {}", worker.name, missing);
}

}  // namespace gantry::placement
