#include "placement/scorers/scorers.h"

namespace gantry::placement {

ScorePart score_locality(const Candidate& candidate, const Standing& standing) {
    const bool here = standing.has_files.contains(candidate.slots.front().worker->id);
    ScorePart made{.scorer = "locality", .score = here ? 100.0 : 0.0};
    if (standing.explain) {
        made.reason = here ? "an instance of the same model has its files there, in memory" : "no instance of the same model is there";
    }
    return made;
}

}  // namespace gantry::placement
