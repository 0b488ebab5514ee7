#pragma once
// What decisions say to people.

#include <map>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "placement/survey.h"

namespace gantry::placement {

std::string size_text(uint64_t bytes);   // "61.3 GiB", "512 MiB": coarse, so that a reason doesn't change with every measurement

// Who has the devices' memory, read once of a snapshot, which must outlive it.
class Holders {
public:
    explicit Holders(const Snapshot& snapshot);
    // "\"first\" holds 57.0 GiB, others use 3.2 GiB: python (pid 4711) 3.2 GiB"; empty: nobody.
    std::string of(const Worker& worker, const Device& device, const Room::OfDevice& room) const;

private:
    struct Held {
        DeploymentId deployment;
        const std::string* name = nullptr;   // null: it was deleted
        uint64_t bytes = 0;
    };
    std::span<const Held> on(const WorkerId& worker, const DeviceName& device) const;
    std::unordered_map<WorkerId, std::map<DeviceName, std::vector<Held>>> held_;
};

// Why a worker can't take it, with what it lacks.
std::string why_not(const Surveyed& worker, const Asked& asked, Needs& needs, const Holders& holders);

// Of all workers, one line.
std::string why_nowhere(const std::vector<Surveyed>& workers, const Asked& asked, Needs& needs, const Holders& holders);

// Where it goes, and why there.
std::string why_there(const Placement& placement, const Candidate& candidate, const Asked& asked, const Needs& needs, size_t rivals);

std::vector<WorkerVerdict> explained(const std::vector<Surveyed>& workers, const std::optional<Placement>& chosen, const Asked& asked, Needs& needs,
                                     const Holders& holders);

}  // namespace gantry::placement
