#pragma once
// Brings what is there towards what is wanted, again and again: on notify(), and every kEvery in case one was lost. Also
// keeps house: workers whose reports are missing, expired sessions, publications that failed, deployments that are idle.
// Threads: one of its own between start() and stop(); notify() and alive() from any; run_once() and turn() from that one, or from
// a test or the simulator, which have no thread of it.

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "base/metrics.h"
#include "control/heartbeat.h"
#include "control/knowledge.h"
#include "control/observed.h"
#include "control/publish.h"
#include "control/reconcile_plan.h"
#include "control/sleep.h"

namespace gantry::control {

class Reconciler {
public:
    static constexpr std::chrono::seconds kEvery{5};
    static constexpr std::chrono::seconds kTick{1};            // how often missing reports and idle deployments are looked for
    static constexpr std::chrono::seconds kAliveWithin{30};    // no round for so long: not alive
    static constexpr int kRoundsMax = 16;                      // create, place and so on follow each other at once

    struct Parts {
        store::Store& store;
        Publisher& publisher;
        Observed& observed;
        Heartbeat& heartbeat;
        KnowledgeSource& knowledge;
        Sleep& sleep;
        const Clock& clock;
        RandomSource& random;
        std::function<void()> poke_workers;   // their assignment may have changed
        // Instances that requests are being answered by now; nothing: it can't be known at the moment, so ask again. No function:
        // nobody answers requests here.
        std::function<std::optional<std::set<InstanceId>>()> in_use{};
        std::function<std::vector<Action>(const PlanInput&)> plan = control::plan;   // another one: the simulator's planted bugs
    };
    explicit Reconciler(Parts parts) : parts_(std::move(parts)) {}
    ~Reconciler() { stop(); }

    void start();
    void stop();
    void notify();
    bool alive() const;

    // Plans and applies until nothing is left to do. Returns the number of actions applied.
    Result<size_t> run_once();
    // What the thread does whenever it is woken, and every kTick: a round if one is due, else a look at what may be missing. True: a round was
    // made and went well, so the rows are now as its plan wanted them.
    bool turn(SteadyTime now);

private:
    void loop();
    bool round();
    void housekeeping();
    bool drain();

    Parts parts_;
    std::mutex mutex_;                       // protects wanted_, due_, stopping_
    std::condition_variable woken_;
    bool wanted_ = true;                     // a round is due at once,
    SteadyTime due_{};                       // or then
    bool stopping_ = false;
    std::atomic<bool> running_{false};
    std::atomic<SteadyTime> last_round_{};   // by the machine's clock, not by parts_.clock: the thread lives in real time
    SteadyTime next_cleaning_{};             // of expired sessions
    bool draining_ = false;                  // old instances still answer: looked at every kTick
    prometheus::Histogram& seconds_ = metrics::seconds("gantry_reconcile_seconds", "Time of a round of reconciling");
    std::thread thread_;
};

}  // namespace gantry::control
