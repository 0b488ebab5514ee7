#include "placement/device_filters/device_filters.h"

namespace gantry::placement {

Reason refuse_unhealthy(const Worker&, const Device& device, const Asked&) {
    if (device.problem.empty()) return std::nullopt;
    return "not healthy: " + device.problem;
}

}  // namespace gantry::placement
