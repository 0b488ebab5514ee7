#include "domain/placement.h"

namespace gantry {

std::string to_string(const DeviceName& name) { return name.vendor + "/" + std::to_string(name.index); }

const char* to_string(PlacementStrategy strategy) { return strategy == PlacementStrategy::kBinpack ? "binpack" : "spread"; }

}  // namespace gantry
