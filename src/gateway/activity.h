#pragma once
// Which deployments are in use, and since when the others are not: what sleep is decided by. A deployment that is closed is about
// to be put to sleep: requests that come are held (waiting_room.h) until it is opened and the tables say what became of it. Closing
// looks and closes in one go on the thread that requests begin on, so that none is ever slept under.
// Threads: the io thread.

#include <cstdint>
#include <functional>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"

namespace gantry::gateway {

// To be closed if nobody asked for it for so long.
struct IdleCandidate {
    DeploymentId deployment;
    Duration idle{};
};

class Activity {
    struct Known {
        uint32_t in_use = 0;
        SteadyTime last_end{};
        bool closed = false;
    };

public:
    explicit Activity(const Clock& clock) : clock_(clock), since_(clock.steady()) {}
    Activity(const Activity&) = delete;
    Activity& operator=(const Activity&) = delete;

    // A request that is, or may still be, about a deployment, as long as it lives.
    class Use {
    public:
        Use() = default;
        Use(Use&& other) noexcept;
        Use& operator=(Use&& other) noexcept;
        ~Use() { end(); }

    private:
        friend class Activity;
        void end();
        Activity* activity_ = nullptr;
        Known* known_ = nullptr;
    };
    Use use(const DeploymentId& deployment);

    // Closes those that have no request and had none for so long (counted from the start of this process), and returns them.
    std::vector<DeploymentId> close_idle(const std::vector<IdleCandidate>& candidates);
    void open(const std::vector<DeploymentId>& deployments);
    bool closed(const DeploymentId& deployment) const;
    // Called when some were opened.
    void on_open(std::function<void()> listener) { opened_ = std::move(listener); }

private:
    const Clock& clock_;
    const SteadyTime since_;
    std::unordered_map<DeploymentId, Known> known_;   // its elements stay where they are; as many as deployments were ever asked for
    std::function<void()> opened_;
};

}  // namespace gantry::gateway
