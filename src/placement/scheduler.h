#pragma once
// Where an instance goes, and why not elsewhere. Pure: a snapshot in, a decision with reasons out; nothing is remembered, no clock.
//
//   workers -> filters (worker_filters/: ready, not cordoned, labels) -> of each worker its devices -> filters (device_filters/:
//   chosen by hand, type, supported by the backend, healthy) -> candidates (candidates.cc) -> scorers (scorers/) -> the best
//
// Which candidate is better is decided in this order; of equals the first by worker and device:
//   1. wholly on accelerators; a part of the layers in memory (partial offload); memory alone; accelerators of several workers
//   2. long enough a context: kContextGood tokens for two sequences, or all that the model was trained for, or what was asked for
//   3. fewer devices: one, and more only where one does not do
//   4. the scores
//
// What is asked for is exact: context_tokens and max_sequences that were given fit, or it does not fit. What is left open is chosen:
//   context     as long as the model was trained for, cut to what fits with two sequences, no shorter than kContextMin. Where all
//               sequences share one pool of cells (embedded engine, llama-server) a second one must find room, but only one is booked
//   sequences   of the others (vLLM, SGLang, MindIE): two, up to kSequencesWanted of kTokensWanted together, where there is room. More run at once
//               where they are shorter; llama.cpp's backends have their own defaults
//
// What can't be known is never a silent 0. An unknown need (a custom command, files that can't be read or say too little) is placed
// all the same, since the worker and the program will say more: on the roomiest device that would do, with what is known of it booked,
// Verdict::kUnknown, and a reason. What it then takes counts, because it is measured (Room).

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "domain/evaluation.h"
#include "domain/placement.h"
#include "domain/snapshot.h"
#include "placement/calibration.h"
#include "placement/estimate.h"

namespace gantry::placement {

inline constexpr uint32_t kContextMin = 512;
inline constexpr uint32_t kContextGood = 8192;
inline constexpr uint32_t kSequencesWanted = 8;
inline constexpr uint32_t kTokensWanted = 131'072;   // of all sequences together, beyond the two

// What a decision needs beside the snapshot.
struct Knowledge {
    std::map<std::string, ModelMeta> metas;              // by source; a missing one is unknown
    std::map<std::string, std::string> meta_problems;    // by source: why it is unknown ("no such file: ...")
    std::set<std::string> reading;                       // sources that will be known soon: until then nothing of theirs is placed
    std::vector<MeasuredRun> runs;
};

// Room on every device of a snapshot, made once for many decisions: the lesser of
//   total - reserve - claims                 what nobody booked
//   measured free - what is booked but not yet taken
// and never below 0. The second says: what our instances use of their claims is not free already, and the rest of the claims will not be
// for long; what they take beyond their claims, and what others take, is missing. Own use of an accelerator is that of its processes that
// belong to an instance; where the tool lists no processes, all that is used counts as ours up to what started instances booked. Own use of
// cpu/0 is the instances' private memory: files that are mapped count as available.
// Claims count from the placement until the instance is gone. An instance without a placement (an older version's) counts with its memory.
// A device with unified memory and the machine's memory are one: what is booked on either is missing on both.
class Room {
public:
    static constexpr uint64_t kReserveMemoryMax = 1ull << 30;   // of cpu/0, a tenth at most: for the system, and for this program
    static constexpr uint64_t kReserveDevice = 256ull << 20;    // of an accelerator: for its driver

    explicit Room(const Snapshot& snapshot);
    struct OfDevice {
        uint64_t allocatable_bytes = 0;   // what can still be booked
        uint64_t reserved_bytes = 0;      // kept for the system
        uint64_t claimed_bytes = 0;       // of our instances, those that are stopping included
        uint64_t foreign_bytes = 0;       // measured: used by processes that are not ours
        uint32_t instances = 0;
    };
    const OfDevice& of(const WorkerId& worker, const DeviceName& device) const;   // all 0 where there is none
    Room part(const std::vector<Worker>& workers) const;   // of these workers alone
    void book(const Placement& placement);      // what a decision placed
    void release(const Placement& placement);   // gone, and what it used as well

private:
    Room() = default;
    struct Entry {
        DeviceName name;
        uint64_t total = 0;
        uint64_t free = 0;
        uint64_t untaken = 0;      // booked and not yet used
        bool shared = false;       // is the machine's memory, or has it for its own
        OfDevice shown{};
    };
    using Entries = std::vector<Entry>;
    static Entry* find(Entries& entries, const DeviceName& device);
    static void refresh(Entries& entries);
    void change(const Placement& placement, bool booked);
    std::unordered_map<WorkerId, Entries> workers_;
};

enum class Detail {
    kDecision,    // the placement and one line; nothing is written about those that lose
    kExplained,   // every worker and device, and what would help where nothing fits
};
// `deployment` as desired; its id may be empty: a dry run.
Decision decide(const Deployment& deployment, const Snapshot& snapshot, const Knowledge& knowledge, const Room& room, Detail detail);

}  // namespace gantry::placement
