#include "control/reconciler.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/metrics.h"
#include "control/plan_apply.h"

namespace gantry::control {

void Reconciler::start() {
    last_round_ = std::chrono::steady_clock::now();
    running_ = true;
    thread_ = std::thread([this] {
        loop();
        running_ = false;
    });
}

void Reconciler::stop() {
    {
        std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    woken_.notify_all();
    if (thread_.joinable()) thread_.join();
}

void Reconciler::notify() {
    {
        std::lock_guard lock(mutex_);
        wanted_ = true;
    }
    woken_.notify_all();
}

bool Reconciler::alive() const {
    return running_ && std::chrono::steady_clock::now() - last_round_.load() < kAliveWithin;
}

void Reconciler::loop() {
    while (true) {
        {
            std::unique_lock lock(mutex_);
            woken_.wait_for(lock, kTick, [this] { return wanted_ || stopping_; });
            if (stopping_) return;
        }
        (void)turn(std::chrono::steady_clock::now());
        last_round_ = std::chrono::steady_clock::now();
    }
}

bool Reconciler::turn(SteadyTime now) {
    bool due = false;
    {
        std::lock_guard lock(mutex_);
        due = std::exchange(wanted_, false) || now >= due_;
        if (due) due_ = now + kEvery;
    }
    if (due) return round();
    if (parts_.heartbeat.check()) notify();
    if (draining_ && drain()) parts_.poke_workers();
    if (parts_.sleep.sleep_idle()) notify();
    return false;
}

bool Reconciler::round() {
    housekeeping();
    (void)parts_.sleep.sleep_idle();
    const auto done = run_once();
    if (done) return true;
    static auto& errors = metrics::counter("gantry_reconcile_errors_total", "Rounds of reconciling that failed");
    errors.Increment();
    log::error("reconciling failed and is tried again in {} s: {}", kEvery.count(), done.error().message);
    return false;
}

void Reconciler::housekeeping() {
    (void)parts_.heartbeat.check();
    if (parts_.publisher.stale()) {
        if (Status status = parts_.publisher.refresh_auth(); !status) {
            log::error("the users' and keys' tables can't be read: {}", status.error().message);
        }
    }
    const SteadyTime now = parts_.clock.steady();
    if (now < next_cleaning_) return;
    next_cleaning_ = now + std::chrono::hours(1);
    if (Status status = parts_.store.delete_sessions_before(parts_.clock.wall()); !status) {
        log::warn("expired sessions can't be deleted: {}", status.error().message);
        return;
    }
    if (Status status = parts_.publisher.refresh_auth(); !status) {
        log::error("the users' and keys' tables can't be read: {}", status.error().message);
    }
}

// An old instance that was replaced gets no new requests from the moment it is marked; its worker is told to end it when the last
// one on it has ended, or had its time to. True: there is another such.
bool Reconciler::drain() {
    const auto rows = parts_.publisher.rows();
    std::set<InstanceId> leaving, drained;
    std::optional<std::set<InstanceId>> busy;
    for (const Instance& i : rows->instances) {
        const auto d = std::find_if(rows->deployments.begin(), rows->deployments.end(),
                                    [&](const Deployment& one) { return is_replaced(i, one, rows->workers); });
        if (d == rows->deployments.end()) continue;
        if (leaving.empty()) busy = parts_.in_use ? parts_.in_use() : std::set<InstanceId>();
        leaving.insert(i.id);
        const WallTime now = parts_.clock.wall();
        const bool time_is_up = std::any_of(rows->workers.begin(), rows->workers.end(), [&](const Worker& one) {
            return one.drain_by && now >= *one.drain_by && i.is_on(one.id);
        });
        const bool late = time_is_up || now - i.state_since >= std::chrono::seconds(d->rollout.drain_seconds);
        if ((busy && !busy->contains(i.id)) || late) drained.insert(i.id);
    }
    draining_ = drained.size() < leaving.size();
    return parts_.observed.set_drained(std::move(drained));
}

Result<size_t> Reconciler::run_once() {
    const auto started = std::chrono::steady_clock::now();
    size_t done = 0;
    parts_.sleep.wake_asked();
    for (int round = 0; round < kRoundsMax; ++round) {
        if (Status status = parts_.publisher.refresh(); !status) return status.error();
        parts_.heartbeat.forget_missing(*parts_.publisher.rows());
        const auto view = parts_.publisher.view();
        const PlanInput input{*view, parts_.knowledge.of_waiting(*view), parts_.observed.gone(*view), parts_.clock.wall()};
        const Applied applied = apply(parts_.plan(input), parts_.store, parts_.clock, parts_.random);
        done += applied.done;
        if (applied.error) return *applied.error;
        if (applied.done == 0) break;
    }
    if (done > 0) {
        if (Status status = parts_.publisher.refresh(); !status) return status.error();
    }
    parts_.sleep.published();
    if (drain() || done > 0) parts_.poke_workers();
    seconds_.Observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count());
    return done;
}

}  // namespace gantry::control
