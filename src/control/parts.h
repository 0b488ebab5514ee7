#pragma once
// Instances that several workers run together: each has a part, a process of its own there (docs/multi-worker.md, ADR 13). What each worker
// is told of the others, and what they are together. Pure, and by what is known now: nothing is remembered from one call to the next.
//
// All parts run in one attempt. A part whose process has ended asks for the next; the attempt is the highest that any part runs in or asks
// for, so that the end of one ends all, and each starts once in each attempt.

#include <map>

#include "backends/backends.h"
#include "domain/snapshot.h"
#include "protocol/worker/messages.h"

namespace gantry::control {

// Of one part, by its worker's last report.
struct PartSeen : InstancePart {
    uint32_t attempt = 0;
    bool prepared = false;
    uint32_t peer_port = 0;
};
using PartsSeen = std::map<WorkerId, PartSeen>;   // those that reported

// Of a part's worker.
struct PartWorker {
    std::string name{};
    std::string data_address{};                         // empty: it told none
    std::vector<Device> devices{};
    bool unreachable = false;
};
using PartWorkers = std::map<WorkerId, PartWorker>;

// Fills in what `spec`, for `worker`, says of the parts: part, attempt, peers, waits_for. REQUIRES: its placement spans workers.
void tell_parts(protocol::InstanceSpec& spec, const WorkerId& worker, const PartsSeen& seen, const PartWorkers& workers);

// An instance as it is shown: its parts, and a state, a reason and a progress of them all; `shown` has the leading part's.
void combine(Instance& shown, const PartsSeen& seen, const PartWorkers& workers);

}  // namespace gantry::control
