#pragma once
// Which workers come into question at all. A file a filter.

#include <span>

#include "placement/asked.h"

namespace gantry::placement {

Reason refuse_not_ready(const Worker& worker, const Asked& asked);
Reason refuse_cordoned(const Worker& worker, const Asked& asked);
Reason refuse_labels(const Worker& worker, const Asked& asked);

struct WorkerFilter {
    const char* rule;
    Reason (*refuse)(const Worker& worker, const Asked& asked);
};
// In the order in which they are asked; a worker is refused by the first that refuses it.
inline constexpr WorkerFilter kWorkerFilters[] = {{"ready", refuse_not_ready}, {"not cordoned", refuse_cordoned}, {"labels", refuse_labels}};

}  // namespace gantry::placement
