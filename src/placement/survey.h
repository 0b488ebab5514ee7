#pragma once
// Every worker and device of a snapshot with what the filters said, and what can be made of the rest.

#include <vector>

#include "placement/candidates.h"
#include "placement/scorers/scorers.h"

namespace gantry::placement {

struct SurveyedDevice {
    const Device* device = nullptr;
    DeviceName name{};
    Room::OfDevice room{};
    const char* rule = "";       // the filter that refused it; empty: none did
    std::string reason{};
};

struct Surveyed {
    const Worker* worker = nullptr;
    const char* rule = "";
    std::string reason{};
    std::vector<SurveyedDevice> devices{};     // in the worker's order; none where the worker itself was refused
    View view{};
    std::vector<Candidate> candidates{};       // the best first, once they are ranked
    std::vector<ScorePart> scores{};           // of the best
    double total = 0;
};

std::vector<Surveyed> survey(const Asked& asked, const Snapshot& snapshot, const Room& room, bool explain);

// For questions that differ in what they ask of the same workers (suggestions.cc): who comes into question, and where the instance would
// go among them, their candidates written anew; nothing where it fits nowhere, or nobody knows what it takes. `workers` must have been
// surveyed for the same backend, labels and devices.
std::vector<Surveyed> surveyed_for(const Deployment& deployment, const Snapshot& snapshot, const Room& room);
std::optional<Placement> fitting(const Deployment& deployment, const Snapshot& snapshot, const Knowledge& knowledge, std::vector<Surveyed>& workers);

// Whether a ranks before b, their scores being given: the order that scheduler.h tells.
bool better(const Candidate& a, double a_score, const Candidate& b, double b_score);

}  // namespace gantry::placement
