#include "domain/placement.h"

#include <algorithm>

namespace gantry {

std::string to_string(const DeviceName& name) { return name.vendor + "/" + std::to_string(name.index); }

std::vector<WorkerId> Placement::workers() const {
    std::vector<WorkerId> found;
    for (const DeviceClaim& claim : claims) {
        if (std::find(found.begin(), found.end(), claim.worker_id) == found.end()) found.push_back(claim.worker_id);
    }
    return found;
}

bool Placement::spans_workers() const {
    return std::any_of(claims.begin(), claims.end(), [this](const DeviceClaim& claim) { return claim.worker_id != claims.front().worker_id; });
}

Placement Placement::on(const WorkerId& worker) const {
    Placement own = *this;
    std::erase_if(own.claims, [&worker](const DeviceClaim& claim) { return claim.worker_id != worker; });
    return own;
}

const char* to_string(PlacementStrategy strategy) { return strategy == PlacementStrategy::kBinpack ? "binpack" : "spread"; }

bool from_text(const std::string& text, PlacementStrategy& strategy) {
    for (const PlacementStrategy one : {PlacementStrategy::kSpread, PlacementStrategy::kBinpack}) {
        if (text != to_string(one)) continue;
        strategy = one;
        return true;
    }
    return false;
}

}  // namespace gantry
