#pragma once
// What the workers last said, in memory: fresher than the database, which gets it only now and then. Overlaid on rows before
// they are shown or decided upon. The heartbeat is its one writer.
// Threads: any; one lock inside. Time comes in from outside.

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "control/parts.h"
#include "domain/snapshot.h"
#include "protocol/worker/messages.h"

namespace gantry::control {

// Reports missing for so long make a worker unreachable (fourteen misses: a busy second or a pause does not), so that those who
// watch are told within fifteen seconds.
inline constexpr std::chrono::seconds kUnreachableAfter{14};
// No sign of a worker for so long: its lease ends, and others take its instances' places (ADR 11), within 45 s with an engine's start.
inline constexpr std::chrono::seconds kLostAfter{42};

// Stopping because another revision than its own or fewer replicas are wanted, or its worker is drained, and so in no hurry: what it
// answers may end first.
bool is_replaced(const Instance& instance, const Deployment& deployment, const std::vector<Worker>& workers);

class Observed {
public:
    // After a start: the workers in `rows` are given until now + kUnreachableAfter to report.
    void restore(const Snapshot& rows, SteadyTime now);

    struct Change {
        bool state = false;    // states, endpoints, processes: routes and plans depend on it
        bool shown = false;    // reasons, progress
        bool gone = false;     // a stopping instance was confirmed to be no more
        std::set<WorkerId> others{};   // to whom it matters: they run parts of an instance of which this one's part has changed
    };
    // Applies a report. Instances that are unknown, or another worker's, are ignored: the answer makes the worker stop them.
    Change apply(const protocol::WorkerReport& report, const Snapshot& rows, SteadyTime now, WallTime wall);

    // Replaced instances whose last requests have ended, or had their time to: their worker may stop them. The others stay assigned
    // until they are here. Given whole by the reconciler; true: there is one that was not before.
    bool set_drained(std::set<InstanceId> drained);

    // What this worker should run, by `rows`; remembered, to know later when a stopping instance can't start any more. With its
    // revision.
    protocol::Assignment assign(const WorkerId& worker, const Snapshot& rows);

    // The worker lives, says something else than a report: bytes on a connection of its.
    void sign_of_life(const WorkerId& worker, SteadyTime now);

    // Marks workers of whom there is no sign; returns those.
    std::vector<WorkerId> expire(SteadyTime now);
    // Unreachable workers of whom there was no sign for kLostAfter; each again until it reports.
    std::vector<WorkerId> overdue(SteadyTime now) const;

    void overlay(Snapshot& rows) const;
    void overlay(Instance& instance) const;
    void overlay(Worker& worker) const;
    // Stopping, and confirmed to be no more by all their workers that there are.
    std::set<InstanceId> gone(const Snapshot& rows) const;
    void forget_missing(const Snapshot& rows);   // drops what has no row any more

private:
    struct Seen {
        WorkerId worker_id;
        Instance fields;       // observed fields only, of the leading part
        PartsSeen parts{};     // of an instance on several workers
    };
    struct WorkerSeen {
        Worker fields;         // observed fields only
        SteadyTime last_sign{};
        WallTime unreachable_since{};
        bool assigned_before = false;
        std::set<InstanceId> assigned;
        std::string revision;  // of what was assigned
    };
    // `row`: as stored; `former`: when its worker last reported before this.
    Change apply_instance(const protocol::InstanceReport& report, const Instance& row, WallTime former, WallTime wall);
    Change apply_part(const protocol::InstanceReport& report, const Instance& row, const WorkerId& worker);
    PartWorkers workers_of(const Instance& row) const;
    void overlay_locked(Instance& instance) const;
    void overlay_locked(Worker& worker) const;

    mutable std::mutex mutex_;   // protects all below
    std::unordered_map<InstanceId, Seen> instances_;
    std::unordered_map<WorkerId, WorkerSeen> workers_;
    std::unordered_map<InstanceId, std::set<WorkerId>> gone_;   // by whom
    std::set<InstanceId> drained_;
};

}  // namespace gantry::control
