#include "placement/scorers/scorers.h"

namespace gantry::placement {

// Of unequal devices the slowest sets the pace.
ScorePart score_equal_chips(const Candidate& candidate, const Standing& standing) {
    ScorePart made{.scorer = "equal_chips", .score = candidate.equal ? 100.0 : 0.0};
    if (standing.explain) {
        made.reason = candidate.slots.size() == 1 ? "one device" : candidate.equal ? "all of one kind" : "unequal devices: the slowest sets the pace";
    }
    return made;
}

}  // namespace gantry::placement
