#include "control/sleep.h"

#include <fmt/format.h>

#include <utility>

#include "base/log.h"
#include "control/sleep_plan.h"

namespace gantry::control {

void Sleep::ask(const DeploymentId& deployment, const gateway::WokenBy& by) {
    const std::lock_guard lock(asked_mutex_);
    asked_.try_emplace(deployment, by);
}

Status Sleep::wake(const DeploymentId& deployment, const std::string& why) {
    const std::lock_guard lock(mutex_);
    return wake_locked(deployment, nullptr, why);
}

void Sleep::wake_asked() {
    std::map<DeploymentId, gateway::WokenBy> asked;
    {
        const std::lock_guard lock(asked_mutex_);
        asked.swap(asked_);
    }
    const std::lock_guard lock(mutex_);
    for (const auto& [deployment, by] : asked) {
        const Status woken = wake_locked(deployment, &by, {});
        if (woken) continue;
        log::error("deployment {} can't be woken and this is tried again: {}", deployment.text, woken.error().message);
        ask(deployment, by);
    }
    const auto rows = publisher_.rows();
    for (const Deployment& d : rows->deployments) {
        if (!sleeps_in_vain(d)) continue;
        const Status woken = wake_locked(d.id, nullptr, d.stopped ? "it was stopped" : "it is not to sleep any more");
        if (!woken) log::error("{} can't be woken and this is tried again: {}", d.name, woken.error().message);
    }
}

Status Sleep::wake_locked(const DeploymentId& id, const gateway::WokenBy* by, const std::string& why) {
    const Result<Deployment> d = store_.deployment(id);
    if (!d && d.error().code == ErrorCode::kNotFound) return Ok{};
    if (!d) return d.error();
    if (!d->asleep_since) return Ok{};
    GANTRY_TRY(store_.set_asleep(id, std::nullopt));
    log::info("{}: wakes: {}", d->name, by == nullptr ? why : fmt::format("request {} of {}", by->request_id, log::escape(by->user_name, 64)));
    if (by != nullptr) record(*d, std::nullopt, "a request for it", by);   // else an edit did it, which is recorded itself
    return Ok{};
}

bool Sleep::sleep_idle() {
    if (!doors_.close_idle) return false;
    const auto candidates = sleep_candidates(*publisher_.view(), clock_.wall());
    if (candidates.empty()) return false;
    const std::lock_guard lock(mutex_);
    const std::optional<std::vector<DeploymentId>> closed = doors_.close_idle(candidates);
    if (!closed) return false;
    std::vector<DeploymentId> still_awake;
    for (const DeploymentId& deployment : *closed) {
        (put_to_sleep(deployment) ? closed_ : still_awake).push_back(deployment);
    }
    if (!still_awake.empty()) doors_.open(still_awake);
    return still_awake.size() < closed->size();
}

// False: it stays awake, because it is gone, was edited meanwhile, or can't be written.
bool Sleep::put_to_sleep(const DeploymentId& id) {
    const Result<Deployment> d = store_.deployment(id);
    if (!d || d->idle_timeout_seconds == 0 || instances_wanted(*d) == 0) return false;
    const WallTime now = clock_.wall();
    if (const Status written = store_.set_asleep(id, now); !written) {
        log::warn("{} is idle and can't be put to sleep: {}", d->name, written.error().message);
        return false;
    }
    const std::string why = fmt::format("no request for {} s", d->idle_timeout_seconds);
    log::info("{}: goes to sleep: {}", d->name, why);
    record(*d, now, why, nullptr);
    return true;
}

void Sleep::published() {
    if (closed_.empty()) return;
    doors_.open(std::exchange(closed_, {}));
}

void Sleep::record(const Deployment& d, std::optional<WallTime> since, const std::string& why, const gateway::WokenBy* by) {
    const auto shown = [](std::optional<WallTime> time) { return time ? std::optional(to_rfc3339(*time)) : std::nullopt; };
    AuditEvent event{.id = new_id<AuditEventId>(random_, "aud"),
                     .at = clock_.wall(),
                     .actor_name = "gantry",
                     .via = "idle timeout",
                     .action = since ? "sleep" : "wake",
                     .object_kind = "deployment",
                     .object_id = d.id.text,
                     .object_name = d.name,
                     .changes = {{"asleep_since", shown(d.asleep_since), shown(since)}, {"reason", std::nullopt, why}}};
    if (by != nullptr) {
        event.actor_id = by->user_id;
        event.actor_name = by->user_name;
        event.via = by->key_id.empty() ? "session" : by->key_id.text;
        event.peer = by->peer;
        event.request_id = by->request_id;
    }
    if (const Status written = store_.add_audit(event); !written) {
        log::error("{}: the audit log can't be written: {}", d.name, written.error().message);
    }
}

}  // namespace gantry::control
