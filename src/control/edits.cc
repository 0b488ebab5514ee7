#include "control/edits.h"

#include <fmt/format.h>

#include <algorithm>

namespace gantry::control {
namespace {

void count_up(Deployment& d, WallTime now) {
    d.notice.clear();
    ++d.version;
    d.updated_at = now;
}

}  // namespace

void finish_edit(const Deployment& before, Deployment& d, WallTime now) {
    const bool runs_other = before.backend != d.backend || before.options != d.options || before.source != d.source ||
                            before.placement != d.placement;
    if (runs_other) d.generation = ++d.newest_generation;
    count_up(d, now);
}

void roll_back(Deployment& d, const Revision& to, WallTime now) {
    take_revision(d, to);
    count_up(d, now);
}

void drain(Worker& worker, std::chrono::seconds within, WallTime now) {
    worker.cordoned = true;
    worker.drain_by = now + within;
}

Status check_removable(const Worker& worker, const Snapshot& rows) {
    // One that never reported has nothing to lose, either.
    const bool silent = worker.state == WorkerState::kUnreachable || worker.state == WorkerState::kPending;
    const bool joined = std::any_of(rows.memberships.begin(), rows.memberships.end(),
                                    [&](const Membership& m) { return m.worker_id == worker.id; });
    if (!silent && !joined) {
        return conflict(fmt::format("worker \"{}\" is the server's own and reports: start the server with --no-worker, then delete it", worker.name));
    }
    // What stops on one that is silent may never be confirmed; the row of the worker takes it along.
    const auto left = std::count_if(rows.instances.begin(), rows.instances.end(),
                                    [&](const Instance& i) { return i.is_on(worker.id) && !(silent && i.stopping); });
    if (left == 0) return Ok{};
    return conflict(fmt::format("worker \"{}\" still has {} instance{}: `gantry drain {}` moves them away", worker.name, left,
                                left == 1 ? "" : "s", worker.name));
}

}  // namespace gantry::control
