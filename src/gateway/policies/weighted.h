#pragma once
// The policy of a route: each target gets its share, its weight by the sum of all. Pure.

#include <cstdint>
#include <optional>
#include <span>

namespace gantry::gateway {

// `uniform`: a random number in [0, 1). nullopt: no weight is over 0.
std::optional<size_t> pick_weighted(std::span<const uint32_t> weights, double uniform);

}  // namespace gantry::gateway
