#include "placement/device_filters/device_filters.h"

namespace gantry::placement {

Reason refuse_unsupported(const Worker& worker, const Device& device, const Asked& asked) {
    auto refusal = asked.backend.refuses_device(worker.os, worker.arch, device);
    if (!refusal) return std::nullopt;
    return std::move(refusal->reason);
}

}  // namespace gantry::placement
