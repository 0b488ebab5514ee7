#pragma once
// What the workers' devices did, by their reports: in memory a minute each for a day, in the store a quarter of an hour each for a
// month. What a tool does not tell is absent, and while a worker is away there is nothing.
// Times are of the server's wall clock. Threads: any; one lock inside, never held while the disk is waited for.

#include <map>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "control/device_series.h"
#include "domain/snapshot.h"
#include "store/store.h"

namespace gantry::control {

class DeviceHistory {
public:
    DeviceHistory(store::Store& store, const Clock& clock);

    // The devices of a report. Doesn't block.
    void add(const WorkerId& worker, const std::vector<Device>& devices);

    // Writes the quarters that are over, all in one transaction; costs nothing where there is none. What the database refuses is tried
    // again every minute while it is in memory. Called from one thread, as the next.
    void store_due();
    // The same up to now, for a server that stops: what the next one measures in this quarter is added to it.
    void store_rest();
    void forget_missing(const Snapshot& rows);   // drops workers that have no row any more

    // From the step that holds `from` up to the one that holds the moment before `to`; steps are multiples of `step` since 1970. What was
    // measured before this process began is there by the quarter: its means stand in each step that it covers. Blocks on the disk.
    // REQUIRES: from < to
    Result<DeviceCourses> read(const WorkerId& worker, WallTime from, WallTime to, std::chrono::minutes step) const;

private:
    using Devices = std::map<std::pair<std::string, uint32_t>, DeviceSeries>;   // by vendor and index

    // Of what was measured in [from, to).
    std::vector<DeviceQuarter> quarters(Minute from, Minute to) const;
    void store_up_to(Minute to);

    store::Store& store_;
    const Clock& clock_;
    // By the thread that stores.
    Minute stored_to_;       // what was measured before is stored, or was measured by another process
    Minute due_;
    bool refused_ = false;

    mutable std::mutex mutex_;   // protects the one below
    std::unordered_map<WorkerId, Devices> workers_;
};

}  // namespace gantry::control
