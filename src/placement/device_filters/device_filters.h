#pragma once
// Which devices of a worker may compute. A file a filter. The machine's memory is the device cpu/0: refused here it still holds what
// stays in memory of an instance on accelerators.

#include "placement/asked.h"

namespace gantry::placement {

Reason refuse_not_chosen(const Worker& worker, const Device& device, const Asked& asked);
Reason refuse_type(const Worker& worker, const Device& device, const Asked& asked);
Reason refuse_unsupported(const Worker& worker, const Device& device, const Asked& asked);
Reason refuse_unhealthy(const Worker& worker, const Device& device, const Asked& asked);

inline constexpr char kSupported[] = "backend";   // the rule that says whether anything goes together at all
struct DeviceFilter {
    const char* rule;
    Reason (*refuse)(const Worker& worker, const Device& device, const Asked& asked);
};
// In the order in which they are asked. What nobody asked for comes first, so that what the backend refuses was asked for.
inline constexpr DeviceFilter kDeviceFilters[] = {{"chosen by hand", refuse_not_chosen},
                                                  {"device type", refuse_type},
                                                  {kSupported, refuse_unsupported},
                                                  {"healthy", refuse_unhealthy}};

}  // namespace gantry::placement
