#include <fmt/format.h>

#include "placement/worker_filters/worker_filters.h"

namespace gantry::placement {

Reason refuse_not_ready(const Worker& worker, const Asked&) {
    switch (worker.state) {
        case WorkerState::kReady:
        case WorkerState::kDraining:   // reports well; whether it takes new instances is the next filter's matter
            return std::nullopt;
        case WorkerState::kPending: return fmt::format("{} has not reported yet", worker.name);
        case WorkerState::kUnreachable: return fmt::format("{} is unreachable since {}", worker.name, to_rfc3339(worker.last_report_at));
    }
    return fmt::format("{} is in an unknown state", worker.name);
}

}  // namespace gantry::placement
