#include <fmt/format.h>
#include <fmt/ranges.h>

#include "placement/device_filters/device_filters.h"

namespace gantry::placement {

Reason refuse_type(const Worker&, const Device& device, const Asked& asked) {
    const auto& types = asked.deployment.placement.device_types;
    if (types.empty() || asked.wants_type(device.vendor, device.chip)) return std::nullopt;
    return fmt::format("{} is none of the types asked for: {}", device.chip.empty() ? device.vendor : device.vendor + " " + device.chip,
                       fmt::join(types, ", "));
}

}  // namespace gantry::placement
