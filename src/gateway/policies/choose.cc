#include "gateway/policies/choose.h"

#include <tuple>

namespace gantry::gateway {

std::optional<size_t> choose_instance(std::span<const Candidate> candidates, std::optional<size_t> preferred, uint64_t turn) {
    const auto rank = [](const Candidate& candidate) { return std::tuple(candidate.suspect, candidate.drain_s); };
    const Candidate* best = nullptr;
    for (const Candidate& candidate : candidates) {
        if (!candidate.barred && (best == nullptr || rank(candidate) < rank(*best))) best = &candidate;
    }
    if (best == nullptr) return std::nullopt;
    const auto within = [best](const Candidate& candidate, double times) {
        return !candidate.barred && candidate.suspect == best->suspect && candidate.drain_s <= times * best->drain_s;
    };
    if (preferred && *preferred < candidates.size() && within(candidates[*preferred], kAffinityWithin)) return preferred;
    uint64_t equals = 0;
    for (const Candidate& candidate : candidates) equals += within(candidate, kEqualWithin) ? 1 : 0;
    uint64_t skip = turn % equals;   // the best is one of them
    for (size_t i = 0; i < candidates.size(); ++i) {
        if (within(candidates[i], kEqualWithin) && skip-- == 0) return i;
    }
    return std::nullopt;
}

}  // namespace gantry::gateway
