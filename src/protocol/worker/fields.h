#pragma once
// The fields of what passes between a server and its workers (base/json_fields.h). A worker may be one version older or newer
// than its server: what may change here, and how, is said in versions.h.

#include <algorithm>

#include "base/clock.h"
#include "domain/fields.h"
#include "protocol/worker/messages.h"

namespace gantry {

inline bool from_text(const std::string& text, InstanceState& out) {
    const auto state = instance_state_from(text);
    if (state) out = *state;
    return state.has_value();
}
inline bool from_text(const std::string& text, BackendKind& out) {
    const auto kind = backend_kind_from(text);
    if (kind) out = *kind;
    return kind.has_value();
}

template <Is<BackendProgram::Refusal> T, class Visit>
void fields(T& r, Visit&& visit) {
    visit("vendor", r.vendor);
    visit("index", r.index);
    visit("reason", r.reason);
}

template <Is<BackendProgram> T, class Visit>
void fields(T& p, Visit&& visit) {
    visit("backend", p.backend);
    visit("path", p.path);
    visit("version", p.version);
    visit("refusals", p.refusals);
}

namespace protocol {

inline constexpr int64_t kLastTimeMs = 253'402'300'799'999;   // the end of the year 9999

template <Is<Peer> T, class Visit>
void fields(T& p, Visit&& visit) {
    visit("worker_id", p.worker_id.text);
    visit("address", p.address);
    visit("port", p.port);
    visit("device_addresses", p.device_addresses);
}

template <Is<InstanceSpec> T, class Visit>
void fields(T& s, Visit&& visit) {
    visit("id", s.id.text);
    visit("deployment_id", s.deployment_id.text);
    visit("deployment_name", s.deployment_name);
    visit("index", s.index);
    visit("generation", s.generation);
    visit("source", s.source);
    visit("backend", s.backend);
    visit("options", s.options);
    visit("placement", s.placement);
    visit("part", s.part);
    visit("attempt", s.attempt);
    visit("waits_for", s.waits_for);
    visit("peers", s.peers);
}

template <Is<Assignment> T, class Visit>
void fields(T& a, Visit&& visit) {
    visit("run", a.run);
    visit("revision", a.revision);
}

template <Is<InstanceReport> T, class Visit>
void fields(T& r, Visit&& visit) {
    visit("id", r.id.text);
    visit("state", r.state);
    visit("reason", r.reason);
    int64_t since = to_unix_ms(r.state_since);
    visit("state_since_ms", since);
    if constexpr (!std::is_const_v<T>) r.state_since = from_unix_ms(std::clamp<int64_t>(since, 0, kLastTimeMs));
    visit("progress", r.progress);
    visit("endpoint", r.endpoint);
    visit("api_key", r.api_key);
    visit("pid", r.pid);
    visit("restarts", r.restarts);
    visit("memory_bytes", r.memory_bytes);
    visit("memory_private_bytes", r.memory_private_bytes);
    visit("memory_peak_bytes", r.memory_peak_bytes);
    visit("attempt", r.attempt);
    visit("prepared", r.prepared);
    visit("peer_port", r.peer_port);
}

template <Is<WorkerReport> T, class Visit>
void fields(T& r, Visit&& visit) {
    visit("worker_id", r.worker_id.text);
    visit("name", r.name);
    visit("address", r.address);
    visit("version", r.version);
    visit("os", r.os);
    visit("arch", r.arch);
    visit("devices", r.devices);
    visit("device_notes", r.device_notes);
    visit("programs", r.programs);
    visit("data_address", r.data_address);
    visit("data_address_given", r.data_address_given);
    visit("instances", r.instances);
    visit("applied", r.applied);
}

}  // namespace protocol
}  // namespace gantry
