#include "control/sleep.h"

#include <fmt/format.h>

#include <utility>

#include "base/assert.h"
#include "base/log.h"
#include "control/sleep_plan.h"

namespace gantry::control {

Sleep::Closed::~Closed() {
    if (!stored_) sleep_.doors_.open({deployment_});
}

void Sleep::Closed::stored() {
    stored_ = true;
    const std::lock_guard lock(sleep_.mutex_);
    sleep_.closed_.push_back(deployment_);
}

void Sleep::ask(const DeploymentId& deployment, const gateway::WokenBy& by) {
    const std::lock_guard lock(mutex_);
    asked_.try_emplace(deployment, by);
}

Status Sleep::wake(const DeploymentId& deployment, const std::string& why) { return wake(deployment, nullptr, why); }

void Sleep::wake_asked() {
    std::map<DeploymentId, gateway::WokenBy> asked;
    {
        const std::lock_guard lock(mutex_);
        asked.swap(asked_);
    }
    for (const auto& [deployment, by] : asked) {
        const Status woken = wake(deployment, &by, {});
        if (woken) continue;
        log::error("deployment {} can't be woken and this is tried again: {}", deployment.text, woken.error().message);
        ask(deployment, by);
    }
    const auto rows = publisher_.rows();
    for (const Deployment& d : rows->deployments) {
        if (!sleeps_in_vain(d)) continue;
        const Status woken = wake(d.id, "it was stopped");
        if (!woken) log::error("{} can't be woken and this is tried again: {}", d.name, woken.error().message);
    }
}

Status Sleep::wake(const DeploymentId& id, const gateway::WokenBy* by, const std::string& why) {
    const Result<Deployment> d = store_.deployment(id);
    if (!d && d.error().code == ErrorCode::kNotFound) return Ok{};
    if (!d) return d.error();
    if (!d->asleep_since) return Ok{};
    publisher_.hold_until_up(id);
    const Status written = store_.set_asleep(id, std::nullopt, d->version);
    if (!written && written.error().code == ErrorCode::kConflict) return wake(id, by, why);   // it was edited meanwhile
    GANTRY_TRY(written);
    log::info("{}: wakes: {}", d->name, by == nullptr ? why : fmt::format("request {} of {}", by->request_id, log::escape(by->user_name, 64)));
    if (by != nullptr) record(*d, std::nullopt, "a request for it", by);   // else an edit did it, which is recorded itself
    return Ok{};
}

bool Sleep::sleep_idle() {
    if (!doors_.close_idle) return false;
    const auto candidates = sleep_candidates(*publisher_.view(), clock_.wall());
    if (candidates.empty()) return false;
    const std::optional<std::vector<DeploymentId>> closed = doors_.close_idle(candidates);
    if (!closed) return false;
    std::vector<DeploymentId> still_awake;
    for (const DeploymentId& deployment : *closed) {
        if (!put_to_sleep_idle(deployment)) {
            still_awake.push_back(deployment);
            continue;
        }
        const std::lock_guard lock(mutex_);
        closed_.push_back(deployment);
    }
    if (!still_awake.empty()) doors_.open(still_awake);
    return still_awake.size() < closed->size();
}

// False: it stays awake, because it is gone, was edited meanwhile, or can't be written.
bool Sleep::put_to_sleep_idle(const DeploymentId& id) {
    const Result<Deployment> d = store_.deployment(id);
    if (!d || d->idle_timeout_seconds == 0 || instances_wanted(*d) == 0) return false;
    const WallTime now = clock_.wall();
    if (const Status written = store_.set_asleep(id, now, d->version); !written) {
        log::warn("{} is idle and can't be put to sleep: {}", d->name, written.error().message);
        return false;
    }
    const std::string why = fmt::format("no request for {} s", d->idle_timeout_seconds);
    log::info("{}: goes to sleep: {}", d->name, why);
    record(*d, now, why, nullptr);
    return true;
}

Result<std::shared_ptr<Sleep::Closed>> Sleep::put_to_sleep(const Deployment& d, const std::string& by) {
    GANTRY_ASSERT(!d.asleep_since, "what sleeps is not put to sleep");
    if (instances_wanted(d) == 0) {
        return conflict(fmt::format("\"{}\" has no instances to put to sleep, because it is stopped or of 0 replicas: a request doesn't wake "
                                    "it; start it, or give it replicas",
                                    d.name));
    }
    if (!doors_.close_idle) return unavailable("this server has no gateway that could hold requests, so nothing sleeps here");
    const auto closed = doors_.close_idle({{d.id, Duration::zero()}});
    if (!closed) return unavailable("the gateway doesn't answer now, and nothing was changed; try again in a moment");
    if (closed->empty()) {
        return Error{ErrorCode::kConflict,
                     fmt::format("\"{}\" is not put to sleep, because requests to it are answered or held right now: try again when they "
                                 "ended (`gantry requests` lists them), or stop it, which ends them",
                                 d.name),
                     {},
                     "deployment_in_use"};
    }
    auto door = std::make_shared<Closed>(*this, d.id);   // shared: what follows a commit is copied
    GANTRY_TRY(store_.set_asleep(d.id, clock_.wall(), d.version));
    log::info("{}: goes to sleep: {} wants it so", d.name, log::escape(by, 64));
    return door;
}

void Sleep::published() {
    std::vector<DeploymentId> closed;
    {
        const std::lock_guard lock(mutex_);
        closed.swap(closed_);
    }
    if (!closed.empty()) doors_.open(std::move(closed));
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
