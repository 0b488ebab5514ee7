#include "gateway/route.h"

#include <utility>

#include "base/assert.h"

namespace gantry::gateway {
namespace {
constexpr std::chrono::seconds kSuspectFor{5};
}

Balancer::Lease::Lease(Balancer& balancer, InstanceId instance) : balancer_(&balancer), instance_(std::move(instance)) {
    ++balancer_->loads_[instance_].in_flight;
}

Balancer::Lease::Lease(Lease&& other) noexcept
    : balancer_(std::exchange(other.balancer_, nullptr)), instance_(std::move(other.instance_)) {}

Balancer::Lease& Balancer::Lease::operator=(Lease&& other) noexcept {
    if (this != &other) {
        release();
        balancer_ = std::exchange(other.balancer_, nullptr);
        instance_ = std::move(other.instance_);
    }
    return *this;
}

void Balancer::Lease::release() {
    if (balancer_ == nullptr) return;
    auto& loads = std::exchange(balancer_, nullptr)->loads_;
    const auto found = loads.find(instance_);
    GANTRY_ASSERT(found != loads.end() && found->second.in_flight > 0, "a lease is released once");
    // A suspect one is kept to be remembered; it goes with its next request, and instances are few.
    if (--found->second.in_flight == 0 && found->second.suspect_until == SteadyTime{}) loads.erase(found);
}

std::optional<size_t> Balancer::choose(const std::vector<Target>& targets, const std::vector<bool>& tried) {
    const SteadyTime now = clock_.steady();
    scratch_.clear();
    for (size_t i = 0; i < targets.size(); ++i) {
        Candidate candidate;
        candidate.tried = tried[i];
        if (const auto found = loads_.find(targets[i].instance_id); found != loads_.end()) {
            candidate.in_flight = found->second.in_flight;
            candidate.suspect = found->second.suspect_until > now;
            if (!candidate.suspect) found->second.suspect_until = {};
        }
        scratch_.push_back(candidate);
    }
    return least_loaded(scratch_, turn_++);
}

void Balancer::suspect(const InstanceId& instance) {
    const SteadyTime now = clock_.steady();
    // Those of instances that are long gone are forgotten here, so that they never add up.
    std::erase_if(loads_, [now](const auto& entry) { return entry.second.in_flight == 0 && entry.second.suspect_until <= now; });
    loads_[instance].suspect_until = now + kSuspectFor;
}

uint32_t Balancer::in_flight(const InstanceId& instance) const {
    const auto found = loads_.find(instance);
    return found == loads_.end() ? 0 : found->second.in_flight;
}

}  // namespace gantry::gateway
