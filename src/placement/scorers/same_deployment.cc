#include <fmt/format.h>

#include "placement/scorers/scorers.h"

namespace gantry::placement {

// A machine's end should take few replicas along.
ScorePart score_same_deployment(const Candidate& candidate, const Standing& standing) {
    const auto found = standing.replicas.find(candidate.slots.front().worker->id);
    const uint32_t there = found == standing.replicas.end() ? 0 : found->second;
    ScorePart made{.scorer = "same_deployment", .score = 100.0 / (1 + there)};
    if (standing.explain) {
        made.reason = there == 0 ? "no other instance of this deployment is there" : fmt::format("instances of this deployment there: {}", there);
    }
    return made;
}

}  // namespace gantry::placement
