#pragma once
// Where an instance goes. Pure: snapshot in, decision with reasons out. Here: the least-loaded ready worker; the evaluator and
// the scheduler with filters and scorers come with the issue "Devices, evaluation, placement".

#include <string>
#include <vector>

#include "domain/snapshot.h"

namespace gantry::placement {

struct Refusal {
    WorkerId worker_id;
    std::string rule;      // "ready", "not cordoned", ...
    std::string reason;    // "worker-2 is unreachable since ..."
};
struct Decision {
    WorkerId worker_id;                // empty: nowhere
    std::vector<Refusal> refusals;     // why not the others
};
Decision place(const Instance& instance, const Deployment& deployment, const Snapshot& snapshot);
std::string explain(const Decision& decision);   // one line for the instance's reason

}  // namespace gantry::placement
