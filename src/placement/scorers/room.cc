#include <fmt/format.h>

#include "placement/scorers/scorers.h"
#include "placement/texts.h"

namespace gantry::placement {

uint64_t mean_room(const Candidate& candidate) {
    uint64_t sum = 0;
    for (const Slot& slot : candidate.slots) sum += slot.room / candidate.slots.size();
    return sum;
}

// By capacity: an empty card of 80 GB is more than one of 24.
ScorePart score_room(const Candidate& candidate, const Standing& standing) {
    const uint64_t room = mean_room(candidate);
    const double part = standing.largest_room == 0 ? 0 : static_cast<double>(room) / static_cast<double>(standing.largest_room);
    const bool spread = standing.strategy == PlacementStrategy::kSpread;
    ScorePart made{.scorer = "room", .score = 100 * (spread ? part : 1 - part)};
    if (standing.explain) made.reason = fmt::format("{} of room, {} at most elsewhere: {}", size_text(room), size_text(standing.largest_room),
                                                    spread ? "spread takes the most" : "binpack takes the least");
    return made;
}

}  // namespace gantry::placement
