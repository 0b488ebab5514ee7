#include "placement/texts.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <unordered_map>

namespace gantry::placement {
namespace {

constexpr char kCapacity[] = "capacity";

std::string joined(const std::vector<std::string>& parts, const char* between = ", ") { return fmt::format("{}", fmt::join(parts, between)); }

// What one device must have, were it chosen on this worker.
uint64_t needed_of(const SurveyedDevice& device, const Surveyed& on, const Asked& asked, Needs& needs) {
    if (!needs.known()) return 0;
    if (device.device->vendor == "cpu") return needs.of("cpu", 1, 0, needs.least()).memory_bytes;
    const std::vector<uint32_t> tried = counts(on.view.accelerators.size(), on.view, asked, needs);
    uint32_t ranks = tried.empty() ? 1 : tried.front();
    for (const Candidate& c : on.candidates) {
        if (c.kind == Kind::kDevices && c.slots.front().device->vendor == device.device->vendor) ranks = static_cast<uint32_t>(c.slots.size());
    }
    return share_bytes(needs, needs.of(device.device->vendor, ranks, needs.layers(), needs.least()).rank_bytes, *device.device);
}

std::string lack_of_room(const SurveyedDevice& device, uint64_t needed, const Surveyed& on, const Snapshot& snapshot) {
    std::string text = fmt::format("{} has {} of {} left, and {} is needed", to_string(device.name), size_text(device.room.allocatable_bytes),
                                   size_text(device.device->memory_total_bytes), size_text(needed));
    const std::string held = holders(snapshot, *on.worker, *device.device, device.room);
    return held.empty() ? text : text + ": " + held;
}

const SurveyedDevice* roomiest(const Surveyed& on, bool memory) {
    const SurveyedDevice* best = nullptr;
    for (const SurveyedDevice& d : on.devices) {
        const bool usable = *d.rule == '\0' && (d.device->vendor == "cpu") == memory;
        if (usable && (best == nullptr || d.room.allocatable_bytes > best->room.allocatable_bytes)) best = &d;
    }
    return best;
}

// Why a worker's accelerators don't do.
std::string lack_of_accelerators(const Surveyed& on, const Asked& asked, Needs& needs, const Snapshot& snapshot) {
    const SurveyedDevice& best = *roomiest(on, false);
    const uint32_t forced = asked.deployment.placement.device_count;
    if (forced > on.view.accelerators.size()) return fmt::format("{} of the {} devices asked for would do", on.view.accelerators.size(), forced);
    const std::vector<uint32_t> tried = counts(on.view.accelerators.size(), on.view, asked, needs);
    if (tried.empty()) {
        const auto n = static_cast<uint32_t>(forced != 0 ? forced : on.view.accelerators.size());
        return refuse_ranks(asked.meta, needs.shares_cells(), n).value_or("its devices can't be used together");
    }
    const std::string& vendor = best.device->vendor;
    const auto share = [&](uint32_t ranks) {
        return share_bytes(needs, needs.of(vendor, ranks, needs.layers(), needs.least()).rank_bytes, *best.device);
    };
    if (best.room.allocatable_bytes >= share(tried.front())) {
        const uint64_t memory = needs.of(vendor, tried.front(), needs.layers(), needs.least()).memory_bytes;
        if (memory > on.view.memory_room) {
            return fmt::format("{} of memory is needed beside the devices, and {} is left", size_text(memory), size_text(on.view.memory_room));
        }
    }
    std::string text = lack_of_room(best, share(tried.front()), on, snapshot);
    if (tried.back() > tried.front()) text += fmt::format(" ({} of each of {} equal ones)", size_text(share(tried.back())), tried.back());
    return text;
}

DeviceVerdict verdict_of(const SurveyedDevice& device, const Surveyed& on, const std::optional<Placement>& chosen, const Asked& asked, Needs& needs,
                         const Snapshot& snapshot) {
    DeviceVerdict verdict;
    verdict.device = device.name;
    verdict.name = device.device->name;
    verdict.allocatable_bytes = device.room.allocatable_bytes;
    static const std::vector<DeviceClaim> kNone;
    for (const DeviceClaim& claim : chosen ? chosen->claims : kNone) {
        if (claim.worker_id != on.worker->id || claim.device != device.name) continue;
        verdict.chosen = true;
        verdict.needed_bytes = claim.bytes;
        return verdict;
    }
    verdict.rule = device.rule;
    verdict.reason = device.reason;
    if (*device.rule != '\0' || *on.rule != '\0') return verdict;
    verdict.needed_bytes = needed_of(device, on, asked, needs);
    if (verdict.needed_bytes > verdict.allocatable_bytes) {
        verdict.rule = kCapacity;
        verdict.reason = lack_of_room(device, verdict.needed_bytes, on, snapshot);
    }
    return verdict;
}

}  // namespace

std::string size_text(uint64_t bytes) {
    const double gib = static_cast<double>(bytes) / (1ull << 30);
    return gib >= 0.95 ? fmt::format("{:.1f} GiB", gib) : fmt::format("{:.0f} MiB", gib * 1024);
}

std::string holders(const Snapshot& snapshot, const Worker& worker, const Device& device, const Room::OfDevice& room) {
    constexpr uint64_t kWorthNaming = 64ull << 20;
    constexpr size_t kShown = 4;
    std::map<DeploymentId, uint64_t> held;
    if (room.claimed_bytes > 0) {
        for (const Instance& i : snapshot.instances) {
            for (const DeviceClaim& c : i.placement.claims) {
                if (c.device.index == device.index && c.worker_id == worker.id && c.device.vendor == device.vendor) held[i.deployment_id] += c.bytes;
            }
            if (i.placement.empty() && i.worker_id == worker.id && device.vendor == "cpu") held[i.deployment_id] += i.memory_bytes;
        }
    }
    std::vector<std::string> parts;
    for (const auto& [id, bytes] : held) {
        if (bytes < kWorthNaming || parts.size() == kShown) continue;
        const auto& all = snapshot.deployments;
        const auto deployment = std::find_if(all.begin(), all.end(), [&](const Deployment& d) { return d.id == id; });
        parts.push_back(deployment == all.end() ? fmt::format("a deleted deployment holds {}", size_text(bytes))
                                                                 : fmt::format("\"{}\" holds {}", deployment->name, size_text(bytes)));
    }
    if (room.foreign_bytes >= kWorthNaming && device.vendor != "cpu") {
        std::vector<std::string> names;
        for (const DeviceProcess& p : device.processes) {
            if (!p.instance_id.empty() || names.size() == kShown) continue;
            names.push_back(fmt::format("{} (pid {}) {}", p.name.empty() ? "a process" : p.name, p.pid, size_text(p.memory_bytes)));
        }
        parts.push_back(names.empty() ? fmt::format("others use {}", size_text(room.foreign_bytes))
                                      : fmt::format("others use {}: {}", size_text(room.foreign_bytes), joined(names)));
    }
    return joined(parts);
}

std::string why_not(const Surveyed& on, const Asked& asked, Needs& needs, const Snapshot& snapshot) {
    if (*on.rule != '\0') return on.reason;
    std::vector<std::string> reasons;
    if (!on.view.accelerators.empty()) reasons.push_back(lack_of_accelerators(on, asked, needs, snapshot));
    if (const SurveyedDevice* memory = roomiest(on, true)) {
        const uint64_t needed = needed_of(*memory, on, asked, needs);
        if (asked.deployment.placement.device_count > 1) {
            reasons.push_back("the machine's memory is one device");
        } else if (needed > memory->room.allocatable_bytes) {
            reasons.push_back(lack_of_room(*memory, needed, on, snapshot));
        }
    }
    if (reasons.empty()) {
        // No device came through: what each lacks, once.
        std::map<std::string, std::string> devices;
        for (const SurveyedDevice& d : on.devices) {
            if (*d.rule != '\0') devices[d.reason] += (devices[d.reason].empty() ? "" : ", ") + to_string(d.name);
        }
        for (const auto& [reason, names] : devices) reasons.push_back(fmt::format("{}: {}", names, reason));
    }
    if (reasons.empty()) reasons.emplace_back("it has no devices");
    return fmt::format("{}: {}", on.worker->name, joined(reasons, "; "));
}

std::string why_nowhere(const std::vector<Surveyed>& workers, const Asked& asked, Needs& needs, const Snapshot& snapshot) {
    constexpr size_t kShown = 4;   // one line for a person, not a list of a thousand workers
    if (workers.empty()) return "no worker is there to run it: start one, or the server without --no-worker";
    std::vector<std::string> parts;
    for (size_t i = 0; i < std::min(workers.size(), kShown); ++i) parts.push_back(why_not(workers[i], asked, needs, snapshot));
    if (workers.size() > kShown) parts.push_back(fmt::format("and {} more", workers.size() - kShown));
    return "no worker can take it: " + joined(parts, "; ");
}

std::string why_there(const Placement& placement, const Candidate& candidate, const Asked& asked, const Needs& needs, size_t rivals) {
    std::vector<std::string> devices;
    for (const Slot& slot : candidate.slots) {
        devices.push_back(candidate.kind == Kind::kSeveralWorkers ? slot.worker->name + "/" + to_string(slot.name()) : to_string(slot.name()));
    }
    std::string text = fmt::format("{}: {}", candidate.slots.front().worker->name, joined(devices));
    if (candidate.kind == Kind::kPartly) {
        text += fmt::format(" with {} of {} layers, the rest in memory", placement.layers_on_devices, placement.layers);
    }
    if (!needs.known()) {
        uint64_t booked = 0;
        for (const DeviceClaim& claim : placement.claims) booked += claim.bytes;
        text += fmt::format("; its need is unknown: {}; ", needs.missing());
        text += booked == 0 ? "nothing is booked for it" : size_text(booked) + " is booked, the part that is known";
    } else if (rivals > 1) {
        text += fmt::format(", the best of {} that would do ({})", rivals, to_string(asked.deployment.placement.strategy));
    }
    return text;
}

std::vector<WorkerVerdict> explained(const std::vector<Surveyed>& workers, const std::optional<Placement>& chosen, const Asked& asked, Needs& needs,
                                     const Snapshot& snapshot) {
    std::vector<WorkerVerdict> verdicts;
    verdicts.reserve(workers.size());
    for (const Surveyed& on : workers) {
        WorkerVerdict verdict;
        verdict.worker_id = on.worker->id;
        verdict.name = on.worker->name;
        verdict.rule = on.rule;
        verdict.reason = on.reason;
        verdict.scores = on.scores;
        verdict.total = on.total;
        if (!on.candidates.empty()) verdict.candidate = place(on.candidates.front(), asked, needs, nullptr);
        for (const SurveyedDevice& device : on.devices) verdict.devices.push_back(verdict_of(device, on, chosen, asked, needs, snapshot));
        if (*on.rule == '\0' && on.candidates.empty() && !chosen) verdict.reason = why_not(on, asked, needs, snapshot);
        verdicts.push_back(std::move(verdict));
    }
    return verdicts;
}

}  // namespace gantry::placement
