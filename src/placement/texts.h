#pragma once
// What decisions say to people.

#include <string>
#include <vector>

#include "placement/survey.h"

namespace gantry::placement {

std::string size_text(uint64_t bytes);   // "61.3 GiB", "512 MiB": coarse, so that a reason doesn't change with every measurement

// Who has a device's memory: "\"first\" holds 57.0 GiB, other processes 3.2 GiB (python, pid 4711)"; empty: nobody.
std::string holders(const Snapshot& snapshot, const Worker& worker, const Device& device, const Room::OfDevice& room);

// Why a worker can't take it, with what it lacks.
std::string why_not(const Surveyed& worker, const Asked& asked, Needs& needs, const Snapshot& snapshot);

// Of all workers, one line.
std::string why_nowhere(const std::vector<Surveyed>& workers, const Asked& asked, Needs& needs, const Snapshot& snapshot);

// Where it goes, and why there.
std::string why_there(const Placement& placement, const Candidate& candidate, const Asked& asked, const Needs& needs, size_t rivals);

std::vector<WorkerVerdict> explained(const std::vector<Surveyed>& workers, const std::optional<Placement>& chosen, const Asked& asked, Needs& needs,
                                     const Snapshot& snapshot);

}  // namespace gantry::placement
