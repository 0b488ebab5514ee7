#include "control/heartbeat.h"

#include <algorithm>

#include "base/log.h"
#include "base/metrics.h"

namespace gantry::control {

Heartbeat::Heartbeat(store::Store& store, Publisher& publisher, Observed& observed, DeviceHistory& history, const Clock& clock,
                     std::function<void()> changed)
    : store_(store), publisher_(publisher), observed_(observed), history_(history), clock_(clock), changed_(std::move(changed)) {}

protocol::Assignment Heartbeat::exchange(const protocol::WorkerReport& report) {
    static auto& reports = metrics::counter("gantry_worker_reports_total", "Reports taken from workers");
    reports.Increment();
    const auto rows = publisher_.rows();
    const bool known = std::any_of(rows->workers.begin(), rows->workers.end(),
                                   [&report](const Worker& w) { return w.id == report.worker_id; });
    if (!known) {
        log::warn("a report of worker {}, which has no row, is ignored", log::escape(report.worker_id.text, 64));
        return {};
    }
    const SteadyTime now = clock_.steady();
    const Observed::Change change = observed_.apply(report, *rows, now, clock_.wall());
    Worker seen{.id = report.worker_id};
    observed_.overlay(seen);   // within bounds, whatever was reported
    history_.add(seen.id, seen.devices);
    bool store = change.state;
    bool show = change.state || change.shown;
    {
        std::lock_guard lock(mutex_);
        Times& times = times_[report.worker_id];
        store = store || times.dirty || now - times.stored >= kStoreEvery;
        show = show || now - shown_ >= kShowEvery;
        if (store) times.stored = now;
        if (show) shown_ = now;
    }
    // First the routes, so that no request goes to an engine known to be dead while the disk is busy.
    if (show) publisher_.refresh_observed();
    if (store) write(report.worker_id);
    if (change.state || change.gone) changed_();
    for (const WorkerId& other : change.others) {
        if (poke_) poke_(other);
    }
    // The rows may have changed meanwhile: the answer is by what is wanted now.
    return observed_.assign(report.worker_id, *publisher_.rows());
}

namespace {

// Of instances in memory alone: what an accelerator was asked for is not among a process's figures.
std::vector<MeasuredRun> measured_runs(const Snapshot& rows, const std::vector<Instance>& instances) {
    std::vector<MeasuredRun> runs;
    for (const Instance& i : instances) {
        const std::vector<DeviceClaim>& claims = i.placement.claims;
        const bool in_memory = claims.size() == 1 && claims[0].device.vendor == "cpu";
        if (!in_memory || i.state != InstanceState::kRunning || i.memory_peak_bytes == 0 || i.placement.estimate_bytes == 0) continue;
        const auto deployment = std::find_if(rows.deployments.begin(), rows.deployments.end(),
                                             [&i](const Deployment& d) { return d.id == i.deployment_id; });
        if (deployment == rows.deployments.end()) continue;
        const auto model = std::find_if(rows.models.begin(), rows.models.end(),
                                        [&](const Model& m) { return m.source == deployment->source; });
        runs.push_back({.instance_id = i.id,
                        .deployment = deployment->name,
                        .backend = deployment->backend,
                        .architecture = model == rows.models.end() ? "" : model->meta.architecture,
                        .source = deployment->source,
                        .vendor = "cpu",
                        .estimate_bytes = i.placement.estimate_bytes,
                        .peak_bytes = i.memory_peak_bytes});
    }
    return runs;
}

}  // namespace

void Heartbeat::write(const WorkerId& id) {
    std::lock_guard one_at_a_time(write_mutex_);
    const auto rows = publisher_.rows();
    std::vector<Instance> instances;
    for (const Instance& i : rows->instances) {
        if (i.is_on(id)) observed_.overlay(instances.emplace_back(i));
    }
    Status written = instances.empty() ? Status(Ok{}) : store_.observe_instances(instances);
    if (written) written = store_.add_measured_runs(measured_runs(*rows, instances), clock_.wall());
    for (const Worker& row : rows->workers) {
        if (row.id != id || !written) continue;
        Worker worker = row;
        observed_.overlay(worker);
        written = store_.observe_worker(worker);
    }
    std::lock_guard lock(mutex_);
    Times& times = times_[id];
    if (!written && !times.dirty) {
        log::warn("what was observed of a worker can't be stored and stays in memory: {}", written.error().message);
    }
    times.dirty = !written;
}

bool Heartbeat::end_leases() {
    static auto& leases = metrics::counter("gantry_worker_leases_ended_total", "Workers given up for lost, their instances placed anew");
    const std::vector<WorkerId> overdue = observed_.overdue(clock_.steady());
    if (overdue.empty()) return false;
    bool any = false;
    const auto rows = publisher_.rows();
    for (const WorkerId& id : overdue) {
        const bool member = std::any_of(rows->memberships.begin(), rows->memberships.end(),
                                        [&id](const Membership& m) { return m.worker_id == id; });
        const auto left = std::count_if(rows->instances.begin(), rows->instances.end(),
                                        [&id](const Instance& i) { return i.is_on(id) && !i.stopping; });
        if (!member || left == 0) continue;
        const auto epoch = store_.end_lease(id, clock_.wall());
        if (!epoch) {
            log::error("the lease of worker {}, which is lost, can't be ended and this is tried again: {}", id.text, epoch.error().message);
            continue;
        }
        leases.Increment();
        log::warn("worker {} is lost: no sign of it for {} s; its lease ends (epoch {}), and its {} instance{} placed elsewhere", id.text,
                  kLostAfter.count(), *epoch, left, left == 1 ? " is" : "s are");
        any = true;
    }
    if (!any) return false;
    if (Status status = publisher_.refresh(); !status) log::error("an ended lease can't be published yet: {}", status.error().message);
    return true;
}

void Heartbeat::forget_missing(const Snapshot& rows) {
    observed_.forget_missing(rows);
    history_.forget_missing(rows);
}

bool Heartbeat::check() {
    history_.store_due();
    const bool ended = end_leases();
    const std::vector<WorkerId> lost = observed_.expire(clock_.steady());
    if (lost.empty()) return ended;
    for (const WorkerId& id : lost) {
        log::warn("worker {} is unreachable: no report for {} s", id.text, kUnreachableAfter.count());
    }
    publisher_.refresh_observed();
    for (const WorkerId& id : lost) write(id);
    return true;
}

}  // namespace gantry::control
