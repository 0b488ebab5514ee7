#include "control/parts.h"

#include <fmt/format.h>

#include <algorithm>

namespace gantry::control {
namespace {

const PartSeen* part_of(const PartsSeen& seen, const WorkerId& worker) {
    const auto found = seen.find(worker);
    return found == seen.end() ? nullptr : &found->second;
}

std::string name_of(const PartWorkers& workers, const WorkerId& worker) {
    const auto found = workers.find(worker);
    return found == workers.end() || found->second.name.empty() ? worker.text : found->second.name;
}

uint32_t attempt_of(const PartsSeen& seen, const std::vector<WorkerId>& all) {
    uint32_t attempt = 1;
    for (const WorkerId& worker : all) {
        if (const PartSeen* part = part_of(seen, worker)) attempt = std::max(attempt, part->attempt);
    }
    return attempt;
}

protocol::Peer peer_of(const WorkerId& id, const Placement& placement, const PartsSeen& seen, const PartWorkers& workers, uint32_t attempt) {
    protocol::Peer peer{.worker_id = id};
    if (const PartSeen* part = part_of(seen, id); part != nullptr && part->attempt == attempt) peer.port = part->peer_port;
    const auto worker = workers.find(id);
    if (worker == workers.end()) return peer;
    peer.address = worker->second.data_address;
    for (const DeviceClaim& claim : placement.claims) {
        if (claim.worker_id != id || claim.device.vendor == "cpu") continue;
        const auto& devices = worker->second.devices;
        const auto device = std::find_if(devices.begin(), devices.end(),
                                         [&](const Device& d) { return DeviceName{d.vendor, d.index} == claim.device; });
        peer.device_addresses.push_back(device == devices.end() ? std::string() : device->network_address);
    }
    return peer;
}

// Why a part may not start now; empty: it may.
std::string waits_for(const protocol::InstanceSpec& spec, const PartsSeen& seen, const PartWorkers& workers, bool followers_first) {
    for (const protocol::Peer& peer : spec.peers) {
        if (!peer.address.empty()) continue;
        return fmt::format("waits for worker {} to say at which address the others reach its engines (--data-address)",
                           name_of(workers, peer.worker_id));
    }
    for (const protocol::Peer& peer : spec.peers) {
        const PartSeen* part = part_of(seen, peer.worker_id);
        const bool ready = part != nullptr && part->attempt == spec.attempt && part->prepared;
        if (ready) continue;
        if (part != nullptr && part->state == InstanceState::kError) {
            return fmt::format("waits for its part on worker {}: {}", name_of(workers, peer.worker_id), part->reason);
        }
        return fmt::format("waits until its part on worker {} has what it needs to start", name_of(workers, peer.worker_id));
    }
    if (followers_first ? spec.part > 0 : spec.part == 0) return {};
    for (size_t i = 0; i < spec.peers.size(); ++i) {
        const bool awaited = followers_first ? i != spec.part : i == 0;
        if (!awaited || spec.peers[i].port != 0) continue;
        return fmt::format("waits until its part on worker {} listens", name_of(workers, spec.peers[i].worker_id));
    }
    return {};
}

// Of two parts the one whose state is that of the whole.
int rank(InstanceState state) {
    switch (state) {
        case InstanceState::kUnreachable: return 0;
        case InstanceState::kError: return 1;
        case InstanceState::kStopping: return 2;
        case InstanceState::kDownloading: return 3;
        case InstanceState::kScheduled: return 4;
        case InstanceState::kPending: return 5;
        case InstanceState::kStarting: return 6;
        case InstanceState::kRunning: return 7;
    }
    return 0;
}

}  // namespace

void tell_parts(protocol::InstanceSpec& spec, const WorkerId& worker, const PartsSeen& seen, const PartWorkers& workers) {
    const std::vector<WorkerId> all = spec.placement.workers();
    const auto own = std::find(all.begin(), all.end(), worker);
    GANTRY_ASSERT(own != all.end(), "a part's worker is among those of its instance");
    spec.part = static_cast<uint32_t>(own - all.begin());
    spec.attempt = attempt_of(seen, all);
    for (const WorkerId& id : all) spec.peers.push_back(peer_of(id, spec.placement, seen, workers, spec.attempt));
    const auto spanning = backends::backend(spec.backend).spanning();
    spec.waits_for = waits_for(spec, seen, workers, spanning && spanning->followers_first);
}

void combine(Instance& shown, const PartsSeen& seen, const PartWorkers& workers) {
    const std::vector<WorkerId> all = shown.placement.workers();
    const uint32_t attempt = attempt_of(seen, all);
    const PartSeen* worst = nullptr;
    WorkerId where;
    bool at_once = true;   // all in this attempt
    uint32_t restarts = 0;
    uint64_t memory = 0;
    shown.parts.clear();
    for (const WorkerId& id : all) {
        const PartSeen* part = part_of(seen, id);
        InstancePart& own = shown.parts.emplace_back();
        if (part != nullptr) own = *part;
        own.worker_id = id;
        if (part == nullptr) continue;
        restarts = std::max(restarts, part->restarts);
        memory += part->memory_bytes;
        at_once = at_once && part->attempt == attempt;
        if (worst != nullptr && rank(worst->state) <= rank(part->state)) continue;
        worst = part;
        where = id;
    }
    for (InstancePart& part : shown.parts) {
        const auto worker = workers.find(part.worker_id);
        if (worker != workers.end() && worker->second.unreachable) part.state = InstanceState::kUnreachable;
    }
    if (worst == nullptr) return;   // as it was stored
    shown.restarts = restarts;
    shown.memory_bytes = memory;
    shown.state = worst->state;
    shown.progress = worst->progress;
    if (worst->state == InstanceState::kRunning && !at_once) {
        shown.state = InstanceState::kStarting;
        shown.reason = "one of its parts has ended: all start again";
    } else if (worst->state == InstanceState::kScheduled && part_of(seen, all.front()) != nullptr) {
        shown.state = InstanceState::kStarting;   // some run, others wait for them
        shown.reason = worst->reason;
    } else {
        shown.reason = worst->reason.empty() ? "" : fmt::format("on worker {}: {}", name_of(workers, where), worst->reason);
    }
}

}  // namespace gantry::control
