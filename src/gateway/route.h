#pragma once
// Which instance takes a request, and how many each has. Threads: the io thread.

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "gateway/policies/least_loaded.h"
#include "gateway/tables.h"

namespace gantry::gateway {

class Balancer {
public:
    explicit Balancer(const Clock& clock) : clock_(clock) {}

    // One request on one instance, as long as it lives.
    class Lease {
    public:
        Lease() = default;
        Lease(Balancer& balancer, InstanceId instance);
        Lease(Lease&& other) noexcept;
        Lease& operator=(Lease&& other) noexcept;
        ~Lease() { release(); }
        const InstanceId& instance() const { return instance_; }

    private:
        void release();
        Balancer* balancer_ = nullptr;
        InstanceId instance_;
    };

    // The index of the target to use; `tried` has a flag for each target. nullopt: all were tried.
    std::optional<size_t> choose(const std::vector<Target>& targets, const std::vector<bool>& tried);
    Lease lease(const InstanceId& instance) { return Lease(*this, instance); }
    // It refused, reset or answered nonsense: others go first for a while.
    void suspect(const InstanceId& instance);
    uint32_t in_flight(const InstanceId& instance) const;

private:
    struct Load {
        uint32_t in_flight = 0;
        SteadyTime suspect_until{};
    };
    const Clock& clock_;
    std::unordered_map<InstanceId, Load> loads_;   // of instances with requests, or suspect
    std::vector<Candidate> scratch_;
    uint64_t turn_ = 0;
};

}  // namespace gantry::gateway
