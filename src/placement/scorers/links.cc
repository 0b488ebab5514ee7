#include <fmt/format.h>

#include "placement/scorers/scorers.h"

namespace gantry::placement {

// Ranks exchange what they computed after every layer: over a vendor's own links that is several times as quick as over PCIe.
ScorePart score_links(const Candidate& candidate, const Standing& standing) {
    size_t pairs = 0, joined = 0;
    for (size_t a = 0; a < candidate.slots.size(); ++a) {
        for (size_t b = a + 1; b < candidate.slots.size(); ++b) {
            ++pairs;
            joined += linked(candidate.slots[a], candidate.slots[b]) ? 1 : 0;
        }
    }
    ScorePart made{.scorer = "links", .score = pairs == 0 ? 100.0 : 100.0 * static_cast<double>(joined) / static_cast<double>(pairs)};
    if (standing.explain) {
        made.reason = pairs == 0 ? "one device" : fmt::format("pairs of its devices that are linked to each other: {} of {}", joined, pairs);
    }
    return made;
}

}  // namespace gantry::placement
