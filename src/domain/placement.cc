#include "domain/placement.h"

namespace gantry {

std::string to_string(const DeviceName& name) { return name.vendor + "/" + std::to_string(name.index); }

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
