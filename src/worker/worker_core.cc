#include "worker/worker_core.h"

#include "base/log.h"
#include "base/version.h"

namespace gantry::worker {
namespace {

using std::chrono::milliseconds;

// The first report waits so long for the adopted engines' first answers, so that a restart of the server does not show
// running engines as starting.
constexpr milliseconds kAdoptionHold{300};
constexpr milliseconds kProgressInterval{200};
constexpr milliseconds kDeviceInterval{1'000};

}  // namespace

SupervisorContext WorkerCore::context() {
    return {*this, parts_.clock,
            LaunchContext{parts_.run_dir, parts_.options.data_dir + "/packed", parts_.options.gantry_binary, parts_.random,
                          parts_.options.policy, devices_.devices, parts_.processes, parts_.options.id, parts_.options.data_address},
            out_of_memory_};
}

void WorkerCore::adopt_all() {
    for (const InstanceId& id : list_instance_folders(parts_.options.data_dir)) {
        const InstanceFolder folder(parts_.options.data_dir, id);
        Adoption adoption = examine_folder(folder, parts_.processes);
        if (adoption.watch.valid() && adoption.record->id == id) {
            auto supervisor = std::make_unique<Supervisor>(context(), id, folder);
            Supervisor& adopted = *supervisor;
            supervisors_.emplace(id, std::move(supervisor));
            adopted.adopt(std::move(adoption));
            continue;
        }
        if (adoption.held) {
            parts_.processes.kill_holders(folder.lock_path());
        }
        dormant_.insert(id);
    }
    if (!supervisors_.empty()) {
        hold_until_ = parts_.clock.steady() + kAdoptionHold;
    }
}

void WorkerCore::changed() {
    next_memory_ = {};   // an engine came, went, or is loaded now: what was measured before is out of date
    parts_.host.exchange_soon();
}

void WorkerCore::progressed() { next_exchange_ = std::min(next_exchange_, parts_.clock.steady() + kProgressInterval); }

bool WorkerCore::holding() {
    if (hold_until_ && parts_.clock.steady() < *hold_until_) {
        for (const auto& [id, supervisor] : supervisors_) {
            if (supervisor->awaits_first_answer()) {
                return true;
            }
        }
    }
    hold_until_.reset();
    return false;
}

void WorkerCore::exchange() {
    if (ending_ || holding()) {
        return;
    }
    const SteadyTime now = parts_.clock.steady();
    next_exchange_ = now + parts_.options.policy.report_interval;
    out_of_memory_.sample(now, parts_.processes.out_of_memory_kills());
    sample_memory(now);
    const protocol::WorkerReport report = make_report();
    apply(parts_.link.exchange(report));
    sweep();
}

protocol::WorkerReport WorkerCore::make_report() {
    const SteadyTime now = parts_.clock.steady();
    if (now >= next_devices_) {
        next_devices_ = now + kDeviceInterval;
        devices_ = parts_.host.devices();
    }
    protocol::WorkerReport report;
    report.worker_id = parts_.options.id;
    report.name = parts_.options.name;
    report.address = parts_.options.address;
    report.version = kVersion;
    report.os = platform::system_name();
    report.arch = platform::machine_name();
    report.data_address = parts_.options.data_address;
    report.data_address_given = parts_.options.data_address_given;
    report.devices = devices_.devices;
    for (Device& device : report.devices) {
        for (DeviceProcess& process : device.processes) {
            const auto owner = owners_.find(process.pid);
            process.instance_id = owner == owners_.end() ? InstanceId{} : owner->second;
        }
    }
    report.device_notes = devices_.notes;
    report.programs = parts_.host.programs();
    for (const auto& [id, supervisor] : supervisors_) {
        report.instances.push_back(supervisor->report());
    }
    return report;
}

void WorkerCore::sample_memory(SteadyTime now) {
    if (now < next_memory_) {
        return;
    }
    std::vector<Supervisor*> running;
    std::vector<int64_t> groups;
    for (const auto& [id, supervisor] : supervisors_) {
        if (supervisor->pid() != 0) {
            running.push_back(supervisor.get());
            groups.push_back(supervisor->pid());
        }
    }
    next_memory_ = now + parts_.options.policy.memory_interval;
    const std::vector<platform::GroupMemory> memory = parts_.processes.group_memory(groups);
    owners_.clear();
    for (size_t i = 0; i < running.size(); ++i) {
        running[i]->set_memory(memory[i]);
        for (const int64_t pid : memory[i].pids) {
            owners_[pid] = running[i]->id();
        }
    }
}

void WorkerCore::apply(const protocol::Assignment& assignment) {
    if (assignment.unknown) {
        return;
    }
    std::set<InstanceId> wanted;
    for (const protocol::InstanceSpec& spec : assignment.run) {
        if (!safe_instance_id(spec.id.text)) {
            log::error("an instance with an unusable id was assigned; it is left out");
            continue;
        }
        wanted.insert(spec.id);
        auto found = supervisors_.find(spec.id);
        if (found == supervisors_.end()) {
            dormant_.erase(spec.id);
            found = supervisors_
                        .emplace(spec.id, std::make_unique<Supervisor>(context(), spec.id,
                                                                       InstanceFolder(parts_.options.data_dir, spec.id)))
                        .first;
            changed();
        }
        found->second->want(spec);
    }
    for (const auto& [id, supervisor] : supervisors_) {
        if (!wanted.contains(id)) {
            supervisor->stop(false);
        }
    }
    if (!first_assignment_seen_) {
        first_assignment_seen_ = true;
        remove_dormant();
    }
}

void WorkerCore::remove_dormant() {
    for (const InstanceId& id : dormant_) {
        log::info("instance {}: no longer wanted, its folder goes", id.text);
        if (const Status removed = InstanceFolder(parts_.options.data_dir, id).remove(); !removed.ok()) {
            log::warn("instance {}: {}", id.text, removed.error().message);
        }
    }
    dormant_.clear();
}

void WorkerCore::sweep() {
    for (auto place = supervisors_.begin(); place != supervisors_.end();) {
        if (place->second->gone()) {
            next_devices_ = {};   // what it held is free: the report that says so shows it
            parts_.host.look_at_devices();
            parts_.host.unwatch(place->first);
            place = supervisors_.erase(place);
        } else {
            ++place;
        }
    }
}

SteadyTime WorkerCore::next_wake() const {
    SteadyTime wake = ending_ ? end_by_ : next_exchange_;
    if (hold_until_) {
        wake = *hold_until_;
    }
    for (const auto& [id, supervisor] : supervisors_) {
        wake = std::min(wake, supervisor->next_wake());
    }
    return wake;
}

void WorkerCore::on_time() {
    for (const auto& [id, supervisor] : supervisors_) {
        supervisor->on_time();
    }
    sweep();
    const SteadyTime now = parts_.clock.steady();
    if (!ending_ && (now >= next_exchange_ || (hold_until_ && now >= *hold_until_))) {
        exchange();
    }
}

void WorkerCore::on_ended(const InstanceId& id, uint64_t run) {
    with(id, [run](Supervisor& supervisor) { supervisor.on_ended(run); });
}

void WorkerCore::on_probed(const InstanceId& id, uint64_t run, const HealthAnswer& answer) {
    with(id, [&](Supervisor& supervisor) { supervisor.on_probed(run, answer); });
    if (hold_until_) {
        changed();
    }
}

void WorkerCore::on_fetching(const InstanceId& id, uint64_t run, const sources::Progress& progress) {
    with(id, [&](Supervisor& supervisor) { supervisor.on_fetching(run, progress); });
}

void WorkerCore::on_checked(const InstanceId& id, uint64_t run, const Status& outcome, const std::string& identity) {
    with(id, [&](Supervisor& supervisor) { supervisor.on_checked(run, outcome, identity); });
}

void WorkerCore::on_devices_changed() {
    next_devices_ = {};
    exchange();
}

void WorkerCore::end_engines(SteadyTime kill_at, SteadyTime end_by) {
    ending_ = true;
    end_by_ = end_by;
    for (const auto& [id, supervisor] : supervisors_) {
        supervisor->stop(true, kill_at);
    }
    sweep();
}

}  // namespace gantry::worker
