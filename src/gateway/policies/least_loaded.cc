#include "gateway/policies/least_loaded.h"

#include <tuple>

namespace gantry::gateway {

std::optional<size_t> least_loaded(std::span<const Candidate> candidates, uint64_t turn) {
    const auto rank = [](const Candidate& candidate) { return std::tuple(candidate.suspect, candidate.in_flight); };
    const Candidate* best = nullptr;
    uint64_t equals = 0;
    for (const Candidate& candidate : candidates) {
        if (candidate.tried) continue;
        if (best == nullptr || rank(candidate) < rank(*best)) {
            best = &candidate;
            equals = 1;
        } else if (rank(candidate) == rank(*best)) {
            ++equals;
        }
    }
    if (best == nullptr) return std::nullopt;
    uint64_t skip = turn % equals;
    for (size_t i = 0; i < candidates.size(); ++i) {
        if (candidates[i].tried || rank(candidates[i]) != rank(*best)) continue;
        if (skip-- == 0) return i;
    }
    return std::nullopt;
}

}  // namespace gantry::gateway
