#pragma once
// The policy "least loaded": the candidate with the fewest requests in flight; among equals in turn. Pure.

#include <cstdint>
#include <optional>
#include <span>

namespace gantry::gateway {

struct Candidate {
    uint32_t in_flight = 0;
    bool suspect = false;   // it failed a moment ago: only when there is no other
    bool tried = false;     // by this very request: never again
};

// The index of the choice; nullopt: all were tried. `turn` grows by one a request.
std::optional<size_t> least_loaded(std::span<const Candidate> candidates, uint64_t turn);

}  // namespace gantry::gateway
