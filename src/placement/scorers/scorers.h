#pragma once
// Which of several candidates is better. A file a scorer; each gives 0..100.

#include <unordered_map>
#include <unordered_set>

#include "placement/candidates.h"

namespace gantry::placement {

// What scorers know beside the candidate.
struct Standing {
    PlacementStrategy strategy = PlacementStrategy::kSpread;
    uint64_t largest_room = 0;                               // of any candidate's devices, on average
    std::unordered_map<WorkerId, uint32_t> replicas{};       // of the same deployment, by worker
    std::unordered_set<WorkerId> has_files{};                // an instance of the same source is there
    bool explain = false;                                    // write reasons
};

ScorePart score_room(const Candidate& candidate, const Standing& standing);
ScorePart score_same_deployment(const Candidate& candidate, const Standing& standing);
ScorePart score_locality(const Candidate& candidate, const Standing& standing);
ScorePart score_equal_chips(const Candidate& candidate, const Standing& standing);
ScorePart score_links(const Candidate& candidate, const Standing& standing);

uint64_t mean_room(const Candidate& candidate);

struct Scorer {
    ScorePart (*score)(const Candidate& candidate, const Standing& standing);
    double spread, binpack;   // weights by strategy; each column is 1 in all
};
inline constexpr Scorer kScorers[] = {{score_room, 0.50, 0.75},
                                      {score_same_deployment, 0.35, 0.10},
                                      {score_equal_chips, 0.05, 0.05},
                                      {score_links, 0.05, 0.05},
                                      {score_locality, 0.05, 0.05}};

}  // namespace gantry::placement
