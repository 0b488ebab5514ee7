#include "gateway/activity.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace gantry::gateway {

Activity::Use::Use(Use&& other) noexcept : activity_(std::exchange(other.activity_, nullptr)), known_(other.known_) {}

Activity::Use& Activity::Use::operator=(Use&& other) noexcept {
    if (this == &other) return *this;
    end();
    activity_ = std::exchange(other.activity_, nullptr);
    known_ = other.known_;
    return *this;
}

void Activity::Use::end() {
    const Activity* const activity = std::exchange(activity_, nullptr);
    if (activity == nullptr) return;
    GANTRY_ASSERT(known_->in_use > 0, "a use ends once");
    --known_->in_use;
    known_->last_end = activity->clock_.steady();
}

Activity::Use Activity::use(const DeploymentId& deployment) {
    Use use;
    use.activity_ = this;
    use.known_ = &known_[deployment];
    ++use.known_->in_use;
    return use;
}

std::vector<DeploymentId> Activity::close_idle(const std::vector<IdleCandidate>& candidates) {
    const SteadyTime now = clock_.steady();
    std::vector<DeploymentId> closed;
    for (const IdleCandidate& candidate : candidates) {
        Known& known = known_[candidate.deployment];
        if (known.closed || known.in_use > 0 || now - std::max(known.last_end, since_) < candidate.idle) continue;
        known.closed = true;
        closed.push_back(candidate.deployment);
    }
    return closed;
}

void Activity::open(const std::vector<DeploymentId>& deployments) {
    for (const DeploymentId& deployment : deployments) {
        if (const auto found = known_.find(deployment); found != known_.end()) found->second.closed = false;
    }
    if (opened_ && !deployments.empty()) opened_();
}

bool Activity::closed(const DeploymentId& deployment) const {
    const auto found = known_.find(deployment);
    return found != known_.end() && found->second.closed;
}

}  // namespace gantry::gateway
