#include "control/sleep_plan.h"

#include <algorithm>
#include <chrono>
#include <unordered_map>

namespace gantry::control {
namespace {

struct Seen {
    bool any = false;
    bool busy = false;        // one is on its way up or down
    bool serves = false;
    bool failed = false;
    WallTime since{};         // of the last change that counts
};

Seen add(Seen seen, const Instance& i) {
    seen.any = true;
    switch (i.state) {
        case InstanceState::kRunning:
            seen.serves = true;
            seen.since = std::max(seen.since, i.state_since);
            break;
        case InstanceState::kPending:
            seen.busy = seen.busy || i.reason.empty();   // the next plan says where it goes, or why nowhere
            seen.since = std::max(seen.since, i.created_at);
            break;
        case InstanceState::kError:
        case InstanceState::kUnreachable: seen.failed = true; break;
        case InstanceState::kScheduled:
        case InstanceState::kDownloading:
        case InstanceState::kStarting:
        case InstanceState::kStopping: seen.busy = true; break;
    }
    seen.busy = seen.busy || i.stopping;
    return seen;
}

}  // namespace

std::vector<gateway::IdleCandidate> sleep_candidates(const Snapshot& view, WallTime now) {
    std::unordered_map<DeploymentId, Seen> seen;
    for (const Instance& i : view.instances) seen[i.deployment_id] = add(seen[i.deployment_id], i);
    std::vector<gateway::IdleCandidate> candidates;
    for (const Deployment& d : view.deployments) {
        const auto idle = std::chrono::seconds(d.idle_timeout_seconds);
        const Seen& own = seen[d.id];
        const bool settled = own.any && !own.busy && (own.serves || !own.failed);
        if (d.idle_timeout_seconds == 0 || instances_wanted(d) == 0 || !settled || now - own.since < idle) continue;
        candidates.push_back({d.id, idle});
    }
    return candidates;
}

bool sleeps_in_vain(const Deployment& d) { return d.asleep_since && d.stopped; }

}  // namespace gantry::control
