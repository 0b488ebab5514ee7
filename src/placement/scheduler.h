#pragma once
// Where an instance goes, and why not elsewhere. Pure: a snapshot in, a decision with reasons out; nothing is remembered, no clock.
//
//   workers -> filters (worker_filters/: ready, cordoned, labels, files, backend fits system) -> of each worker its devices ->
//   filters (device_filters/: healthy, type, chosen by hand, backend supports chip) -> candidates (candidates.cc: one device, then
//   more, then partial offload, then memory alone, then several workers) -> scorers (scorers/) -> the best
//
// Each filter and scorer is a named function in a file of its name, with its test beside it.
// What a device can still take: min(total - reserve, measured free + what our own instances use of it) - claims of our instances.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "domain/evaluation.h"
#include "domain/placement.h"
#include "domain/snapshot.h"
#include "placement/calibration.h"
#include "placement/estimate.h"

namespace gantry::placement {

// What a decision needs beside the snapshot.
struct Knowledge {
    std::map<std::string, ModelMeta> metas;              // by source; a missing one is unknown
    std::map<std::string, std::string> meta_problems;    // by source: why it is unknown ("no such file: ...")
    std::vector<MeasuredRun> runs;
};

// Room on every device of a snapshot, made once for many decisions. `book` takes what a decision placed.
class Room {
public:
    explicit Room(const Snapshot& snapshot);
    struct OfDevice {
        uint64_t allocatable_bytes = 0;   // what can still be booked
        uint64_t reserved_bytes = 0;      // kept for the system
        uint64_t claimed_bytes = 0;       // of our instances, those that are stopping included
        uint64_t foreign_bytes = 0;       // measured: used by processes that are not ours
        uint32_t instances = 0;
    };
    const OfDevice& of(const WorkerId& worker, const DeviceName& device) const;   // all 0 where there is none
    void book(const Placement& placement);
    void release(const Placement& placement);

private:
    std::map<WorkerId, std::map<DeviceName, OfDevice>> devices_;
};

enum class Detail { kDecision, kExplained };
// `deployment` as desired (its id may be empty: a dry run); `except`: an instance whose own booking does not count.
Decision decide(const Deployment& deployment, const Snapshot& snapshot, const Knowledge& knowledge, const Room& room,
                Detail detail);

}  // namespace gantry::placement
