#include "control/cluster/alarms.h"

#include "base/log.h"

namespace gantry::control {

void Alarms::raise(const Alarm& alarm) {
    {
        const std::lock_guard lock(mutex_);
        const SteadyTime now = clock_.steady();
        if (raised_.size() >= kKindsMax) std::erase_if(raised_, [now](const auto& one) { return now - one.second >= kQuietFor; });
        const auto [known, fresh] = raised_.try_emplace({alarm.action, alarm.worker}, now);
        if (!fresh && now - known->second < kQuietFor) return;
        known->second = now;
    }
    const std::string name = log::escape(alarm.name, 128);
    log::warn("cluster: {} {} ({}) from {}: {}", alarm.action, name, alarm.worker.text, alarm.peer, log::escape(alarm.why, 512));
    const Status written = store_.add_audit({.id = new_id<AuditEventId>(random_, "aud"),
                                             .at = clock_.wall(),
                                             .actor_name = name,
                                             .via = alarm.worker.empty() ? "join token" : "worker's certificate",
                                             .peer = alarm.peer,
                                             .method = "POST",
                                             .action = alarm.action,
                                             .object_kind = "worker",
                                             .object_id = alarm.worker.text,
                                             .object_name = name,
                                             .changes = {{"reason", std::nullopt, log::escape(alarm.why, 512)}},
                                             .status = alarm.status});
    if (!written) log::error("cluster: the audit log can't be written: {}", written.error().message);
}

}  // namespace gantry::control
