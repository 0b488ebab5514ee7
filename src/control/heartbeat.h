#pragma once
// Takes workers' reports: the only writer of observed columns. What changes states goes to the database at once, the rest
// (progress, memory, free memory, utilization) every kStoreEvery; in memory, and so for those who ask or watch, all is fresh.
// Threads: exchange() from any worker's thread, check() from the reconciler's.

#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "control/device_history.h"
#include "control/observed.h"
#include "control/publish.h"
#include "protocol/worker/messages.h"
#include "store/store.h"

namespace gantry::control {

inline constexpr std::chrono::seconds kStoreEvery{30};
inline constexpr std::chrono::seconds kShowEvery{2};   // how often figures alone are published, of all workers at once

class Heartbeat {
public:
    // `changed`: something the reconciler should look at.
    Heartbeat(store::Store& store, Publisher& publisher, Observed& observed, DeviceHistory& history, const Clock& clock,
              std::function<void()> changed);

    // Whom to tell that another's report changes what it should do. Before the first exchange; called from any worker's thread.
    void set_poke(std::function<void(const WorkerId&)> poke) { poke_ = std::move(poke); }
    protocol::Assignment exchange(const protocol::WorkerReport& report);
    // Looks for workers of whom there is no sign: first they are unreachable, then their lease ends. True: there was one. Stores what
    // is due of their devices' history.
    bool check();
    void forget_missing(const Snapshot& rows);   // drops what has no row any more
    // Bytes came from the worker, other than a report. Threads: any.
    void sign_of_life(const WorkerId& worker) { observed_.sign_of_life(worker, clock_.steady()); }

private:
    // Writes what is observed of these workers' rows; at the next report again if the database refuses now.
    void write(const WorkerId& worker);
    // Ends the leases of members that are overdue and still have instances. True: there was one.
    bool end_leases();

    store::Store& store_;
    Publisher& publisher_;
    Observed& observed_;
    DeviceHistory& history_;
    const Clock& clock_;
    const std::function<void()> changed_;
    std::function<void(const WorkerId&)> poke_;

    struct Times {
        SteadyTime stored{};
        bool dirty = false;          // the last write failed
    };
    std::mutex mutex_;               // protects the two below
    std::unordered_map<WorkerId, Times> times_;
    SteadyTime shown_{};             // when anything was published last
    std::mutex write_mutex_;         // one write of observed columns at a time
};

}  // namespace gantry::control
