#include <fmt/format.h>
#include <fmt/ranges.h>

#include "placement/device_filters/device_filters.h"

namespace gantry::placement {

Reason refuse_not_chosen(const Worker& worker, const Device& device, const Asked& asked) {
    if (asked.by_hand.empty() || asked.names(worker, {device.vendor, device.index})) return std::nullopt;
    return fmt::format("not among the devices chosen by hand: {}", fmt::join(asked.deployment.placement.devices, ", "));
}

}  // namespace gantry::placement
