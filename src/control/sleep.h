#pragma once
// Puts deployments to sleep that nobody asks for, or that a person wants asleep, and wakes those that somebody asks for: the one
// writer of Deployment::asleep_since. What follows from it, instances that end and come, is the reconciler's, as for
// every other wish. The log and the audit log say each time who and why.
//
// To sleep: the gateway closes a deployment if it is idle (gateway/activity.h), the row is written, the reconciler marks its instances
// and publishes; only then is it opened again, and requests that came meanwhile are about a deployment that is asleep. A server that
// ends anywhere in between leaves one that is awake, or one that is asleep and whose instances the next reconciler ends.
// An edit in between wins: a row is written only in the version that was looked at.
// Threads: ask() from any, it doesn't block; wake() and put_to_sleep() from any that may; the rest from the reconciler's.

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "control/publish.h"
#include "gateway/activity.h"
#include "gateway/gateway.h"
#include "store/store.h"

namespace gantry::control {

// The gateway, from another thread than its own.
struct Doors {
    // nullopt: it doesn't answer now, and nothing was closed.
    std::function<std::optional<std::vector<DeploymentId>>(std::vector<gateway::IdleCandidate>)> close_idle;
    std::function<void(std::vector<DeploymentId>)> open;
};

class Sleep {
public:
    // Without `doors` nothing is put to sleep.
    Sleep(store::Store& store, Publisher& publisher, const Clock& clock, RandomSource& random, Doors doors)
        : store_(store), publisher_(publisher), clock_(clock), random_(random), doors_(std::move(doors)) {}

    // A deployment that the gateway holds requests of, because it is about to sleep. Dropped before it is stored, they go on: it
    // stays awake. Any thread.
    class Closed {
    public:
        Closed(Sleep& sleep, DeploymentId deployment) : sleep_(sleep), deployment_(std::move(deployment)) {}
        ~Closed();
        Closed(const Closed&) = delete;
        Closed& operator=(const Closed&) = delete;
        void stored();   // on disk, and published: the gateway opens it again once its instances are marked

    private:
        Sleep& sleep_;
        const DeploymentId deployment_;
        bool stored_ = false;
    };

    // A request waits for it: it is woken at the next wake_asked(), which whoever calls this sees to.
    void ask(const DeploymentId& deployment, const gateway::WokenBy& by);
    // Somebody wants it awake. Ok where it is, and where there is none; it is to be published.
    Status wake(const DeploymentId& deployment, const std::string& why);

    // A person wants it asleep now, idle timeout or not. The row is written; the caller calls stored() once that is on disk and
    // published. kConflict: a request is about it, or it is stopped. REQUIRES: it is awake; the caller's transaction wrote nothing yet.
    Result<std::shared_ptr<Closed>> put_to_sleep(const Deployment& deployment, const std::string& by);

    // Wakes what was asked for and what sleeps in vain; what could not be written is tried again at the next call.
    void wake_asked();
    // Puts to sleep what is idle. True: there was one, so that there is something to plan.
    bool sleep_idle();
    // All that is written was published.
    void published();

private:
    Status wake(const DeploymentId& deployment, const gateway::WokenBy* by, const std::string& why);
    bool put_to_sleep_idle(const DeploymentId& deployment);
    // In the audit log. `by`: null: the server did it by itself.
    void record(const Deployment& deployment, std::optional<WallTime> since, const std::string& why, const gateway::WokenBy* by);

    store::Store& store_;
    Publisher& publisher_;
    const Clock& clock_;
    RandomSource& random_;
    const Doors doors_;
    std::mutex mutex_;                                     // protects the two below; never held while another is taken
    std::map<DeploymentId, gateway::WokenBy> asked_;
    std::vector<DeploymentId> closed_;                     // until they are published
};

}  // namespace gantry::control
