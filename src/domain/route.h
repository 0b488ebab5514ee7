#pragma once
// A route: a public model name that stands for several deployments, by weight, and for one that takes over when they can't.

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"

namespace gantry {

struct RouteTarget {
    std::string deployment;           // by name, which never changes; one that is not there gets nothing
    uint32_t weight = 1;              // its share of the requests is this by the sum; 0: none
    bool operator==(const RouteTarget&) const = default;
};

struct Route {
    RouteId id{};
    std::string name{};               // unique, among deployments' names, too: clients ask for it
    std::vector<RouteTarget> targets{};
    std::string fallback{};           // a deployment's name; empty: none
    bool disabled = false;
    int64_t version = 1;              // grows with every change
    WallTime created_at{};
    WallTime updated_at{};
};

inline constexpr size_t kRouteTargetsMax = 32;
inline constexpr uint32_t kRouteWeightMax = 10'000;

}  // namespace gantry
