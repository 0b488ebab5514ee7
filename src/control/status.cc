#include "control/status.h"

#include <fmt/format.h>

#include <algorithm>

namespace gantry::control {
namespace {

using protocol::management::DeploymentStatus;

struct Counts {
    uint32_t live = 0, ready = 0, loading = 0, failed = 0, stopping = 0;
    double progress = 0;                // summed
    const Instance* failed_one = nullptr;
    const Instance* loading_one = nullptr;
    const Instance* waiting_one = nullptr;
};

Counts count(const std::vector<const Instance*>& instances) {
    Counts c;
    for (const Instance* i : instances) {
        if (i->stopping) {
            ++c.stopping;
            continue;
        }
        ++c.live;
        switch (i->state) {
            case InstanceState::kRunning:
                ++c.ready;
                c.progress += 1;
                break;
            case InstanceState::kScheduled:
            case InstanceState::kDownloading:
            case InstanceState::kStarting:
                ++c.loading;
                c.progress += i->progress;
                c.loading_one = i;
                break;
            case InstanceState::kError:
            case InstanceState::kUnreachable:
                ++c.failed;
                c.failed_one = i;
                break;
            case InstanceState::kPending:
            case InstanceState::kStopping:
                c.waiting_one = i;
                break;
        }
    }
    return c;
}

std::string reason_of(const Instance* instance) {
    if (instance == nullptr) return {};
    if (!instance->reason.empty()) return instance->reason;
    return instance->state == InstanceState::kUnreachable ? "its worker is unreachable" : "";
}

}  // namespace

namespace {

protocol::management::RolloutStatus rollout_status(const Deployment& d, const std::vector<const Instance*>& instances) {
    protocol::management::RolloutStatus rollout;
    const Instance* waiting = nullptr;
    for (const Instance* i : instances) {
        if (i->generation != d.generation) ++rollout.old_replicas;
        else if (!i->stopping && i->state == InstanceState::kRunning) ++rollout.updated_replicas;
        else if (!i->stopping && i->worker_id.empty() && !i->reason.empty()) waiting = i;
    }
    if (d.stopped || d.replicas == 0) {
        rollout.state = "stopped";
    } else if (d.asleep_since) {
        rollout.state = "asleep";
    } else if (!d.notice.empty()) {
        rollout.state = "reverted";
        rollout.reason = d.notice;
    } else if (rollout.updated_replicas >= d.replicas && rollout.old_replicas == 0) {
        rollout.state = "complete";
    } else if (waiting != nullptr) {
        rollout.state = "waiting";
        rollout.reason = waiting->reason;
    } else {
        rollout.state = "progressing";
    }
    return rollout;
}

}  // namespace

DeploymentStatus deployment_status(const Deployment& d, const std::vector<const Instance*>& instances) {
    const Counts c = count(instances);
    DeploymentStatus status;
    status.ready_replicas = c.ready;
    status.rollout = rollout_status(d, instances);
    if (d.stopped || d.replicas == 0) {
        status.state = "stopped";
        const uint32_t left = c.live + c.stopping;
        if (left > 0) status.reason = fmt::format("{} instance{} still stopping", left, left == 1 ? " is" : "s are");
        else if (!d.stopped) status.reason = "0 replicas are wanted";
        return status;
    }
    if (d.asleep_since) {
        status.state = "asleep";
        status.reason = "asleep until a request comes";
        return status;
    }
    status.progress = std::min(1.0, c.progress / d.replicas);
    if (c.ready >= d.replicas) {
        status.state = "running";
    } else if (c.ready > 0) {
        status.state = "degraded";
        status.reason = fmt::format("{} of {} replicas are running", c.ready, d.replicas);
        if (const std::string why = reason_of(c.failed_one); !why.empty()) status.reason += ": " + why;
    } else if (c.loading > 0) {
        status.state = "starting";
        status.reason = reason_of(c.loading_one);
    } else if (c.failed > 0) {
        status.state = "error";
        status.reason = reason_of(c.failed_one);
    } else {
        status.state = "pending";
        status.reason = reason_of(c.waiting_one);
        if (status.reason.empty() && c.stopping > 0) status.reason = "waits until its former instance has stopped";
    }
    if (status.reason.empty()) status.reason = d.notice;
    return status;
}

std::string not_ready_reason(const DeploymentStatus& status) {
    if (status.state == "stopped") return "stopped";
    if (status.state == "asleep") return "asleep, a request wakes it";
    if (status.state == "starting") return fmt::format("loading ({:.0f} %)", status.progress * 100);
    if (!status.reason.empty()) return protocol::management::public_reason(status.reason);
    return status.state;
}

bool is_on_its_way(const std::vector<const Instance*>& instances, bool room_to_come) {
    const Counts c = count(instances);
    if (c.loading > 0) return true;
    const bool homeless = c.waiting_one != nullptr && !c.waiting_one->reason.empty();
    return c.failed == 0 && (!homeless || room_to_come);
}

}  // namespace gantry::control
