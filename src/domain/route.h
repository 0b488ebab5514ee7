#pragma once
// A route: a public model name that stands for several models, by weight, and for one that takes over when they can't.

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"

namespace gantry {

struct RouteTarget {
    std::string model;                // by public name: a deployment's, or PROVIDER/MODEL; one that is not there gets nothing
    uint32_t weight = 1;              // its share of the requests is this by the sum; 0: none
    bool operator==(const RouteTarget&) const = default;
};

struct Route {
    RouteId id{};
    std::string name{};               // unique, among deployments' and providers' models, too: clients ask for it
    std::vector<RouteTarget> targets{};
    std::string fallback{};           // as a target's model; empty: none
    bool disabled = false;
    int64_t version = 1;              // grows with every change
    WallTime created_at{};
    WallTime updated_at{};
};

inline constexpr size_t kRouteTargetsMax = 32;
inline constexpr uint32_t kRouteWeightMax = 10'000;

}  // namespace gantry
