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

struct DeviceVerdict {
    DeviceName device;
    std::string name;                     // "Ascend 910B3"
    uint64_t allocatable_bytes = 0;
    uint64_t needed_bytes = 0;            // of this device, were it chosen; 0: never got that far
    bool chosen = false;
    std::string rule;                     // the filter that refused it, or "capacity"; empty: it would do
    std::string reason;
};
struct ScorePart {
    std::string scorer;                   // "room", "locality", "same_deployment"
    double score = 0;                     // 0..100, before the weight
    double weight = 0;
    std::string reason;
};
struct WorkerVerdict {
    WorkerId worker_id;
    std::string name;
    std::string rule;                     // the filter that refused it; empty: none did
    std::string reason;
    std::vector<DeviceVerdict> devices;
    std::optional<Placement> candidate;   // the best of this worker
    std::vector<ScorePart> scores;
    double total = 0;
};

enum class Verdict {
    kFits,
    kDoesNotFit,      // no device has the room now; `suggestions` say what would help
    kIncompatible,    // no backend, file format, system or chip of any worker goes together, whatever the room
    kUnknown,         // the model's files do not say enough (or can't be read) to know
};
const char* to_string(Verdict verdict);   // "fits", "does_not_fit", "incompatible", "unknown"

// A change that makes it fit, tried and found true.
struct Suggestion {
    std::string change;      // "context_tokens", "max_sequences", "kv_type", "cpu_offload", "device_count", "quantization", "stop", "backend"
    std::string value;       // "8192"
    std::string text;        // for a person
};

struct Decision {
    Verdict verdict = Verdict::kUnknown;
    std::optional<Placement> placement;
    Estimate estimate;                     // of the placement; where there is none, of the smallest shape asked for
    Correction correction;
    std::vector<WorkerVerdict> workers;    // all, in the snapshot's order; only where asked for
    std::vector<Suggestion> suggestions;   // only where asked for, and nothing fits
    std::string reason;                    // one line: why it goes there, or why nowhere
};

enum class Detail { kDecision, kExplained };
// `deployment` as desired (its id may be empty: a dry run); `except`: an instance whose own booking does not count.
Decision decide(const Deployment& deployment, const Snapshot& snapshot, const Knowledge& knowledge, const Room& room,
                Detail detail);

}  // namespace gantry::placement
