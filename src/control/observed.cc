#include "control/observed.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/ip/address_v4.hpp>
#include <cmath>

#include "protocol/worker/codec.h"

namespace gantry::control {
namespace {

// Bounds on what a worker may make us keep and show.
constexpr size_t kTextMax = 1000;
constexpr size_t kDevicesMax = protocol::kReportedDevicesMax;

// The length of the valid UTF-8 character at `at`; 0: there is none.
size_t character_at(const std::string& text, size_t at) {
    const auto byte = [&text](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
    const auto follows = [&byte](size_t i) { return (byte(i) & 0xc0) == 0x80; };
    const unsigned first = byte(at), second = byte(at + 1);
    if (first < 0x80) return 1;
    if (first >= 0xc2 && first <= 0xdf) return follows(at + 1) ? 2 : 0;
    if (first >= 0xe0 && first <= 0xef) {
        const bool overlong = first == 0xe0 && second < 0xa0, surrogate = first == 0xed && second > 0x9f;
        return follows(at + 1) && follows(at + 2) && !overlong && !surrogate ? 3 : 0;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        const bool overlong = first == 0xf0 && second < 0x90, beyond = first == 0xf4 && second > 0x8f;
        return follows(at + 1) && follows(at + 2) && follows(at + 3) && !overlong && !beyond ? 4 : 0;
    }
    return 0;
}

// Cut, and valid UTF-8 whatever came (an engine's last words may be anything): it goes into JSON and into the database.
void cut_to_fit(std::string& text) {
    const auto is_ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
    if (text.size() <= kTextMax && std::all_of(text.begin(), text.end(), is_ascii)) return;
    std::string out;
    for (size_t at = 0; at < text.size() && out.size() < kTextMax;) {
        const size_t length = character_at(text, at);
        out.append(length == 0 ? std::string("?") : text.substr(at, length));
        at += std::max<size_t>(length, 1);
    }
    text = std::move(out);
}
std::string cut(std::string text) {
    cut_to_fit(text);
    return text;
}

bool is_address(const std::string& text) {
    boost::system::error_code wrong;
    boost::asio::ip::make_address_v4(text, wrong);
    return !wrong;
}

double fraction(double value) { return std::isfinite(value) ? std::clamp(value, 0.0, 1.0) : 0.0; }

std::vector<Device> bounded(const std::vector<Device>& devices) {
    std::vector<Device> out(devices.begin(), devices.begin() + static_cast<long>(std::min(devices.size(), kDevicesMax)));
    for (Device& device : out) {
        for (std::string* text : {&device.vendor, &device.name, &device.uuid, &device.chip, &device.driver_version,
                                  &device.runtime_version, &device.bus_address, &device.partition, &device.details,
                                  &device.problem}) {
            cut_to_fit(*text);
        }
        if (device.links.size() > kDevicesMax) device.links.resize(kDevicesMax);
        for (DeviceLink& link : device.links) cut_to_fit(link.kind);
        if (device.processes.size() > kDevicesMax) device.processes.resize(kDevicesMax);
        for (DeviceProcess& process : device.processes) cut_to_fit(process.name);
        if (device.numa_nodes.size() > kDevicesMax) device.numa_nodes.resize(kDevicesMax);
        for (NumaNode& node : device.numa_nodes) {
            cut_to_fit(node.cores);
            if (node.distances.size() > kDevicesMax) node.distances.resize(kDevicesMax);
        }
        if (device.temperature_celsius && !std::isfinite(*device.temperature_celsius)) device.temperature_celsius.reset();
        device.utilization = fraction(device.utilization);
    }
    return out;
}

std::vector<BackendProgram> bounded(std::vector<BackendProgram> programs) {
    if (programs.size() > kDevicesMax) programs.resize(kDevicesMax);
    for (BackendProgram& program : programs) {
        for (std::string* text : {&program.backend, &program.path, &program.version}) cut_to_fit(*text);
        if (program.refusals.size() > kDevicesMax) program.refusals.resize(kDevicesMax);
        for (BackendProgram::Refusal& refusal : program.refusals) cut_to_fit(refusal.reason);
    }
    return programs;
}

// Since when it is so, by this server's clock: deadlines of states pass by that one, and a worker's may be wrong. What changed did so
// between the former report and this one, whatever the worker says.
WallTime state_since(const protocol::InstanceReport& report, const Instance& known, WallTime former_report, WallTime wall) {
    const bool same = known.state == report.state && known.restarts == report.restarts;
    if (same && known.state_since != WallTime{}) return std::min(known.state_since, wall);
    const WallTime said = report.state_since == WallTime{} ? wall : report.state_since;
    return std::clamp(said, std::min(std::max(former_report, known.created_at), wall), wall);
}

}  // namespace

void Observed::restore(const Snapshot& rows, SteadyTime now) {
    std::lock_guard lock(mutex_);
    for (const Worker& worker : rows.workers) {
        WorkerSeen& seen = workers_[worker.id];
        seen.fields = worker;
        seen.last_sign = now;
        seen.unreachable_since = worker.last_report_at;
    }
}

Observed::Change Observed::apply_instance(const protocol::InstanceReport& report, const Instance& row, WallTime former, WallTime wall) {
    const bool fresh = !instances_.contains(report.id) || instances_[report.id].worker_id != row.worker_id;
    Seen& seen = instances_[report.id];
    Instance& now = seen.fields;
    seen.worker_id = row.worker_id;
    const Instance before = now;
    Instance known = fresh ? row : before;
    known.created_at = row.created_at;
    now.state_since = state_since(report, known, former, wall);
    now.state = report.state;
    now.reason = cut(report.reason);
    now.progress = fraction(report.progress);
    now.endpoint = cut(report.endpoint);
    now.api_key = cut(report.api_key);
    now.pid = report.pid;
    now.restarts = report.restarts;
    now.memory_bytes = report.memory_bytes;
    now.memory_private_bytes = report.memory_private_bytes;
    now.memory_peak_bytes = report.memory_peak_bytes;
    Change change;
    change.state = fresh || now.state != before.state || now.endpoint != before.endpoint || now.api_key != before.api_key ||
                   now.pid != before.pid || now.restarts != before.restarts;
    change.shown = now.reason != before.reason || std::abs(now.progress - before.progress) >= 0.01;
    return change;
}

Observed::Change Observed::apply_part(const protocol::InstanceReport& report, const Instance& row, const WorkerId& worker) {
    PartsSeen& parts = instances_[row.id].parts;
    const bool fresh = !parts.contains(worker);
    PartSeen& part = parts[worker];
    const PartSeen before = part;
    part = {{worker, report.state, cut(report.reason), fraction(report.progress), report.pid, report.restarts, report.memory_bytes},
            report.attempt,
            report.prepared,
            report.peer_port};
    Change change;
    change.state = fresh || part.state != before.state || part.pid != before.pid || part.attempt != before.attempt ||
                   part.prepared != before.prepared || part.peer_port != before.peer_port;
    change.shown = part.reason != before.reason || std::abs(part.progress - before.progress) >= 0.01;
    if (change.state) {
        for (const WorkerId& other : row.placement.workers()) change.others.insert(other);
        change.others.erase(worker);
    }
    return change;
}

Observed::Change Observed::apply(const protocol::WorkerReport& report, const Snapshot& rows, SteadyTime now, WallTime wall) {
    std::lock_guard lock(mutex_);
    Change change;
    WorkerSeen& seen = workers_[report.worker_id];
    const WallTime former = seen.fields.last_report_at;
    change.state = seen.fields.state != WorkerState::kReady;
    std::vector<BackendProgram> programs = bounded(report.programs);
    change.shown = seen.fields.devices.size() != report.devices.size() || seen.fields.programs != programs;
    seen.fields.programs = std::move(programs);
    seen.fields.state = WorkerState::kReady;
    seen.fields.address = cut(report.address);
    seen.fields.version = cut(report.version);
    seen.fields.last_report_at = wall;
    seen.fields.os = cut(report.os);
    seen.fields.arch = cut(report.arch);
    seen.fields.data_address = is_address(report.data_address) ? report.data_address : std::string();
    seen.fields.devices = bounded(report.devices);
    seen.fields.device_notes.clear();
    for (const std::string& note : report.device_notes) {
        if (seen.fields.device_notes.size() < kDevicesMax) seen.fields.device_notes.push_back(cut(note));
    }
    seen.last_sign = now;
    // Of a worker elsewhere answers may be on their way while it makes its report; that it acted on the last one it has to say.
    const bool acted = seen.assigned_before && (report.applied.empty() || report.applied == seen.revision);

    std::unordered_map<InstanceId, const protocol::InstanceReport*> reported;
    for (const protocol::InstanceReport& r : report.instances) reported[r.id] = &r;
    for (const Instance& row : rows.instances) {
        if (!row.is_on(report.worker_id)) continue;
        if (const auto found = reported.find(row.id); found != reported.end()) {
            const auto note = [&change](const Change& one) {
                change.state = change.state || one.state;
                change.shown = change.shown || one.shown;
                change.others.insert(one.others.begin(), one.others.end());
            };
            if (row.worker_id == report.worker_id) note(apply_instance(*found->second, row, former, wall));
            if (row.placement.spans_workers()) note(apply_part(*found->second, row, report.worker_id));
            gone_.erase(row.id);
        } else if (row.stopping && acted && !seen.assigned.contains(row.id)) {
            // Absent, and the last answer told the worker not to run it: nothing can bring it back.
            if (gone_[row.id].insert(report.worker_id).second) change.gone = true;
        }
    }
    return change;
}

bool is_replaced(const Instance& i, const Deployment& d, const std::vector<Worker>& workers) {
    if (!i.stopping || i.deployment_id != d.id || i.worker_id.empty() || instances_wanted(d) == 0) return false;
    const bool drained = std::any_of(workers.begin(), workers.end(), [&i](const Worker& one) { return one.drain_by && i.is_on(one.id); });
    return i.generation != d.generation || i.index >= d.replicas || drained;
}

bool Observed::set_drained(std::set<InstanceId> drained) {
    std::lock_guard lock(mutex_);
    const bool more = !std::includes(drained_.begin(), drained_.end(), drained.begin(), drained.end());
    drained_ = std::move(drained);
    return more;
}

protocol::Assignment Observed::assign(const WorkerId& worker, const Snapshot& rows) {
    protocol::Assignment assignment;
    std::set<InstanceId> assigned;
    std::lock_guard lock(mutex_);
    for (const Worker& one : rows.workers) {
        if (one.id == worker) workers_[worker].fields.name = one.name;
    }
    for (const Instance& i : rows.instances) {
        if (!i.is_on(worker)) continue;
        const auto found = std::find_if(rows.deployments.begin(), rows.deployments.end(),
                                        [&i](const Deployment& one) { return one.id == i.deployment_id; });
        if (found == rows.deployments.end()) continue;  // deleted: the reconciler marks it stopping
        if (i.stopping && (!is_replaced(i, *found, rows.workers) || drained_.contains(i.id))) continue;
        // An instance of another revision than the wanted one goes on as it was made until it is replaced.
        Deployment d = *found;
        if (i.generation != d.generation) {
            if (const Revision* const own = find_revision(rows.revisions, d.id, i.generation)) take_revision(d, *own);
        }
        assignment.run.push_back({i.id, d.id, d.name, i.index, i.generation, d.source, d.backend, d.options,
                                  i.placement});
        if (i.placement.spans_workers()) tell_parts(assignment.run.back(), worker, instances_[i.id].parts, workers_of(i));
        assigned.insert(i.id);
    }
    assignment.revision = protocol::revision_of(assignment);
    WorkerSeen& seen = workers_[worker];
    seen.assigned = std::move(assigned);
    seen.assigned_before = true;
    seen.revision = assignment.revision;
    return assignment;
}

void Observed::sign_of_life(const WorkerId& worker, SteadyTime now) {
    std::lock_guard lock(mutex_);
    if (const auto found = workers_.find(worker); found != workers_.end()) found->second.last_sign = std::max(found->second.last_sign, now);
}

std::vector<WorkerId> Observed::expire(SteadyTime now) {
    std::lock_guard lock(mutex_);
    std::vector<WorkerId> lost;
    for (auto& [id, seen] : workers_) {
        const bool reports = seen.fields.state == WorkerState::kReady || seen.fields.state == WorkerState::kDraining;
        if (!reports || now - seen.last_sign <= kUnreachableAfter) continue;
        seen.fields.state = WorkerState::kUnreachable;
        seen.unreachable_since = seen.fields.last_report_at;
        lost.push_back(id);
    }
    return lost;
}

std::vector<WorkerId> Observed::overdue(SteadyTime now) const {
    std::lock_guard lock(mutex_);
    std::vector<WorkerId> out;
    for (const auto& [id, seen] : workers_) {
        if (seen.fields.state == WorkerState::kUnreachable && now - seen.last_sign > kLostAfter) out.push_back(id);
    }
    return out;
}

void Observed::overlay_locked(Worker& worker) const {
    const auto found = workers_.find(worker.id);
    if (found != workers_.end()) {
        const Worker& seen = found->second.fields;
        worker.state = seen.state;
        if (!seen.address.empty()) worker.address = seen.address;
        if (!seen.version.empty()) worker.version = seen.version;
        worker.last_report_at = seen.last_report_at;
        worker.os = seen.os;
        worker.arch = seen.arch;
        worker.data_address = seen.data_address;
        worker.devices = seen.devices;
        worker.programs = seen.programs;
        worker.device_notes = seen.device_notes;
    }
    if (worker.state == WorkerState::kReady && worker.cordoned) worker.state = WorkerState::kDraining;
    if (worker.state == WorkerState::kDraining && !worker.cordoned) worker.state = WorkerState::kReady;
}

void Observed::overlay_locked(Instance& i) const {
    const auto found = instances_.find(i.id);
    if (found != instances_.end() && found->second.worker_id == i.worker_id) {
        const Instance& seen = found->second.fields;
        i.state = seen.state;
        i.reason = seen.reason;
        i.state_since = seen.state_since;
        i.progress = seen.progress;
        i.endpoint = seen.endpoint;
        i.api_key = seen.api_key;
        i.pid = seen.pid;
        i.restarts = seen.restarts;
        i.memory_bytes = seen.memory_bytes;
        i.memory_private_bytes = seen.memory_private_bytes;
        i.memory_peak_bytes = seen.memory_peak_bytes;
    }
    const bool spans = i.placement.spans_workers();
    if (spans) combine(i, found == instances_.end() ? PartsSeen{} : found->second.parts, workers_of(i));
    // No new requests from the moment it is no longer wanted, not from the worker's next report.
    if (i.stopping) i.state = InstanceState::kStopping;
    for (const WorkerId& id : i.workers()) {
        const auto worker = workers_.find(id);
        if (worker == workers_.end() || worker->second.fields.state != WorkerState::kUnreachable) continue;
        i.state = InstanceState::kUnreachable;
        i.state_since = worker->second.unreachable_since;
        i.reason = spans ? fmt::format("worker {} has not reported since {}", worker->second.fields.name, to_rfc3339(i.state_since))
                         : fmt::format("its worker has not reported since {}", to_rfc3339(i.state_since));
        return;
    }
}

PartWorkers Observed::workers_of(const Instance& row) const {
    PartWorkers workers;
    for (const WorkerId& id : row.placement.workers()) {
        const auto found = workers_.find(id);
        if (found == workers_.end()) continue;
        const Worker& seen = found->second.fields;
        workers[id] = {seen.name, seen.data_address, seen.devices, seen.state == WorkerState::kUnreachable};
    }
    return workers;
}

void Observed::overlay(Snapshot& rows) const {
    std::lock_guard lock(mutex_);
    for (Worker& worker : rows.workers) overlay_locked(worker);
    for (Instance& instance : rows.instances) overlay_locked(instance);
}
void Observed::overlay(Instance& instance) const {
    std::lock_guard lock(mutex_);
    overlay_locked(instance);
}
void Observed::overlay(Worker& worker) const {
    std::lock_guard lock(mutex_);
    overlay_locked(worker);
}

std::set<InstanceId> Observed::gone(const Snapshot& rows) const {
    std::set<WorkerId> there;
    for (const Worker& worker : rows.workers) there.insert(worker.id);
    std::set<InstanceId> gone;
    std::lock_guard lock(mutex_);
    for (const Instance& i : rows.instances) {
        const auto found = gone_.find(i.id);
        if (!i.stopping || found == gone_.end()) continue;
        const std::vector<WorkerId> all = i.workers();
        const auto confirmed = [&](const WorkerId& id) { return found->second.contains(id) || !there.contains(id); };
        if (std::all_of(all.begin(), all.end(), confirmed)) gone.insert(i.id);
    }
    return gone;
}

void Observed::forget_missing(const Snapshot& rows) {
    std::set<InstanceId> instances;
    std::set<WorkerId> workers;
    for (const Instance& i : rows.instances) instances.insert(i.id);
    for (const Worker& w : rows.workers) workers.insert(w.id);
    std::lock_guard lock(mutex_);
    std::erase_if(instances_, [&](const auto& entry) { return !instances.contains(entry.first); });
    std::erase_if(workers_, [&](const auto& entry) { return !workers.contains(entry.first); });
    std::erase_if(gone_, [&](const auto& entry) { return !instances.contains(entry.first); });
}

}  // namespace gantry::control
