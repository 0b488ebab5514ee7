#include <fmt/format.h>

#include "placement/worker_filters/worker_filters.h"

namespace gantry::placement {

Reason refuse_cordoned(const Worker& worker, const Asked&) {
    if (!worker.cordoned && worker.state != WorkerState::kDraining) return std::nullopt;
    return fmt::format("{} is cordoned: it takes no new instances", worker.name);
}

}  // namespace gantry::placement
