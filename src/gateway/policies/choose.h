#pragma once
// The policy of choosing among a deployment's instances: the one that will be done with its work first, this request included;
// among those that are about equal in turn; and the one that had the prompt's beginning before others while it is not much
// behind the first. Pure.

#include <cstdint>
#include <optional>
#include <span>

namespace gantry::gateway {

struct Candidate {
    double drain_s = 0;     // until it has done all it has, and this request
    bool suspect = false;   // it failed a moment ago: only when there is no other
    bool barred = false;    // never: tried by this very request, its circuit is open, or its queue is full
};

// About equal: instances that idle alike share the work, whatever little their measured paces differ.
inline constexpr double kEqualWithin = 1.25;
// How far behind the first an instance may be and still get the prompts whose beginning it has.
inline constexpr double kAffinityWithin = 2.0;

// The index of the choice; nullopt: all are barred. `turn` grows by one a request. `preferred`: who had the prompt's beginning.
std::optional<size_t> choose_instance(std::span<const Candidate> candidates, std::optional<size_t> preferred, uint64_t turn);

}  // namespace gantry::gateway
