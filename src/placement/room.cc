#include <algorithm>
#include <map>

#include "placement/scheduler.h"

namespace gantry::placement {
namespace {

uint64_t minus(uint64_t a, uint64_t b) { return a - std::min(a, b); }

bool is_memory(const DeviceName& name) { return name.vendor == "cpu"; }

// What one instance has on one device.
struct Held {
    uint64_t claim = 0;
    uint64_t use = 0;
    bool started = false;
};
using HeldOn = std::map<DeviceName, std::map<InstanceId, Held>>;

std::unordered_map<WorkerId, HeldOn> held_by_instances(const Snapshot& snapshot) {
    std::unordered_map<WorkerId, HeldOn> held;
    for (const Instance& instance : snapshot.instances) {
        if (instance.worker_id.empty()) continue;
        const DeviceName memory{"cpu", 0};
        for (const DeviceClaim& claim : instance.placement.claims) {
            Held& on = held[claim.worker_id][claim.device][instance.id];
            on.claim += claim.bytes;
            on.started = instance.pid != 0;
        }
        if (instance.placement.empty() || instance.memory_private_bytes > 0) {
            Held& on = held[instance.worker_id][memory][instance.id];
            if (instance.placement.empty()) on.claim = instance.memory_bytes;
            on.use = instance.memory_private_bytes;
        }
    }
    return held;
}

}  // namespace

Room::Room(const Snapshot& snapshot) {
    std::unordered_map<WorkerId, HeldOn> held = held_by_instances(snapshot);
    for (const Worker& worker : snapshot.workers) {
        Entries entries;
        entries.reserve(worker.devices.size());
        for (const Device& device : worker.devices) {
            Entry entry{.name = {device.vendor, device.index}, .total = device.memory_total_bytes, .free = device.memory_free_bytes};
            std::map<InstanceId, Held>& ours = held[worker.id][entry.name];
            uint64_t use = 0, started = 0;
            for (const DeviceProcess& process : device.processes) {
                const auto instance = ours.find(process.instance_id);
                if (!process.instance_id.empty()) use += process.memory_bytes;
                if (instance != ours.end()) instance->second.use += process.memory_bytes;
            }
            for (const auto& [id, on] : ours) {
                entry.shown.claimed_bytes += on.claim;
                entry.untaken += minus(on.claim, on.use);
                if (is_memory(entry.name)) use += on.use;
                if (on.started) started += on.claim;
            }
            const uint64_t used = minus(entry.total, entry.free);
            // Where no process is known for ours, what our started instances claimed is taken to be theirs: the tool may list none, or
            // without sizes, or by the numbers of another container.
            if (!is_memory(entry.name) && use == 0) {
                use = std::min(started, used);
                entry.untaken = minus(entry.shown.claimed_bytes, use);
            }
            entry.shown.instances = static_cast<uint32_t>(ours.size());
            entry.shown.foreign_bytes = minus(used, use);
            entry.shown.reserved_bytes = is_memory(entry.name) ? std::min(kReserveMemoryMax, entry.total / 10)
                                                               : std::min(kReserveDevice, entry.total);
            entry.shared = is_memory(entry.name) || device.unified_memory;
            entries.push_back(std::move(entry));
        }
        refresh(entries);
        workers_.emplace(worker.id, std::move(entries));
    }
}

Room::Entry* Room::find(Entries& entries, const DeviceName& device) {
    const auto found = std::find_if(entries.begin(), entries.end(), [&](const Entry& e) { return e.name == device; });
    return found == entries.end() ? nullptr : &*found;
}

const Room::OfDevice& Room::of(const WorkerId& worker, const DeviceName& device) const {
    static const OfDevice kNone;
    const auto entries = workers_.find(worker);
    if (entries == workers_.end()) return kNone;
    const Entry* entry = find(const_cast<Entries&>(entries->second), device);
    return entry == nullptr ? kNone : entry->shown;
}

void Room::refresh(Entries& entries) {
    uint64_t claimed = 0, untaken = 0;   // of the machine's memory, whoever shares it
    for (const Entry& e : entries) {
        if (!e.shared) continue;
        claimed += e.shown.claimed_bytes;
        untaken += e.untaken;
    }
    const auto left = [](const Entry& e, uint64_t booked, uint64_t to_come) {
        return std::min(minus(minus(e.total, e.shown.reserved_bytes), booked), minus(e.free, to_come));
    };
    const Entry* memory = find(entries, {"cpu", 0});
    const uint64_t shared = memory == nullptr ? UINT64_MAX : left(*memory, claimed, untaken);
    for (Entry& e : entries) {
        e.shown.allocatable_bytes = left(e, e.shown.claimed_bytes, e.untaken);
        if (e.shared) e.shown.allocatable_bytes = std::min(e.shown.allocatable_bytes, shared);
    }
}

void Room::change(const Placement& placement, bool booked) {
    for (const DeviceClaim& claim : placement.claims) {
        const auto entries = workers_.find(claim.worker_id);
        Entry* entry = entries == workers_.end() ? nullptr : find(entries->second, claim.device);
        if (entry == nullptr) continue;
        if (booked) {
            entry->shown.claimed_bytes += claim.bytes;
            entry->untaken += claim.bytes;
            ++entry->shown.instances;
        } else {
            // What it had taken becomes free, what it had not is no longer waited for.
            const uint64_t awaited = std::min(entry->untaken, claim.bytes);
            entry->shown.claimed_bytes = minus(entry->shown.claimed_bytes, claim.bytes);
            entry->untaken -= awaited;
            entry->free = std::min(entry->total, entry->free + (claim.bytes - awaited));
            entry->shown.instances -= std::min(entry->shown.instances, 1u);
        }
        refresh(entries->second);
    }
}

Room Room::part(const std::vector<Worker>& workers) const {
    Room some;
    for (const Worker& worker : workers) {
        const auto entries = workers_.find(worker.id);
        if (entries != workers_.end()) some.workers_.insert(*entries);
    }
    return some;
}

void Room::book(const Placement& placement) { change(placement, true); }
void Room::release(const Placement& placement) { change(placement, false); }

}  // namespace gantry::placement
