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

// Of how many devices the least is told that one must have: the fewest that are tried on this worker.
uint32_t fewest_ranks(const Surveyed& on, const Asked& asked, const Needs& needs) {
    const std::vector<uint32_t> tried = counts(on.view.accelerators.size(), on.view, asked, needs);
    return tried.empty() ? 1 : tried.front();
}

// What one device must have, were it chosen on this worker among `ranks` or as many as its candidate has.
uint64_t needed_of(const SurveyedDevice& device, const Surveyed& on, uint32_t ranks, Needs& needs) {
    if (!needs.known()) return 0;
    if (device.device->vendor == "cpu") return needs.of("cpu", 1, 0, needs.least()).memory_bytes;
    for (const Candidate& c : on.candidates) {
        if (c.kind == Kind::kDevices && c.slots.front().device->vendor == device.device->vendor) ranks = static_cast<uint32_t>(c.slots.size());
    }
    return share_bytes(needs, needs.of(device.device->vendor, ranks, needs.layers(), needs.least()).rank_bytes, *device.device);
}

std::string lack_of_room(const SurveyedDevice& device, uint64_t needed, const Surveyed& on, const Holders& holders) {
    std::string text = fmt::format("{} has {} of {} left, and {} is needed", to_string(device.name), size_text(device.room.allocatable_bytes),
                                   size_text(device.device->memory_total_bytes), size_text(needed));
    const std::string held = holders.of(*on.worker, *device.device, device.room);
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
std::string lack_of_accelerators(const Surveyed& on, const Asked& asked, Needs& needs, const Holders& holders) {
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
    std::string text = lack_of_room(best, share(tried.front()), on, holders);
    if (tried.back() > tried.front()) text += fmt::format(" ({} of each of {} equal ones)", size_text(share(tried.back())), tried.back());
    return text;
}

DeviceVerdict verdict_of(const SurveyedDevice& device, const Surveyed& on, const std::optional<Placement>& chosen, Needs& needs, uint32_t ranks,
                         const Holders& holders) {
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
    verdict.needed_bytes = needed_of(device, on, ranks, needs);
    if (verdict.needed_bytes > verdict.allocatable_bytes) {
        verdict.rule = kCapacity;
        verdict.reason = lack_of_room(device, verdict.needed_bytes, on, holders);
    }
    return verdict;
}

}  // namespace

std::string size_text(uint64_t bytes) {
    const double gib = static_cast<double>(bytes) / (1ull << 30);
    return gib >= 0.95 ? fmt::format("{:.1f} GiB", gib) : fmt::format("{:.0f} MiB", gib * 1024);
}

Holders::Holders(const Snapshot& snapshot) {
    std::unordered_map<DeploymentId, const std::string*> names;
    for (const Deployment& d : snapshot.deployments) names.emplace(d.id, &d.name);
    for (const Instance& i : snapshot.instances) {
        const auto name = names.find(i.deployment_id);
        const auto add = [&](const WorkerId& worker, const DeviceName& device, uint64_t bytes) {
            std::vector<Held>& on = held_[worker][device];
            const auto same = std::find_if(on.begin(), on.end(), [&](const Held& held) { return held.deployment == i.deployment_id; });
            if (same != on.end()) {
                same->bytes += bytes;
            } else {
                on.push_back({i.deployment_id, name == names.end() ? nullptr : name->second, bytes});
            }
        };
        for (const DeviceClaim& claim : i.placement.claims) add(claim.worker_id, claim.device, claim.bytes);
        if (i.placement.empty() && !i.worker_id.empty()) add(i.worker_id, {"cpu", 0}, i.memory_bytes);
    }
    for (auto& [worker, devices] : held_) {
        for (auto& [device, all] : devices) {
            std::sort(all.begin(), all.end(), [](const Held& a, const Held& b) { return a.deployment < b.deployment; });
        }
    }
}

std::span<const Holders::Held> Holders::on(const WorkerId& worker, const DeviceName& device) const {
    const auto devices = held_.find(worker);
    if (devices == held_.end()) return {};
    const auto all = devices->second.find(device);
    return all == devices->second.end() ? std::span<const Held>() : std::span<const Held>(all->second);
}

std::string Holders::of(const Worker& worker, const Device& device, const Room::OfDevice& room) const {
    constexpr uint64_t kWorthNaming = 64ull << 20;
    constexpr size_t kShown = 4;
    std::vector<std::string> parts;
    for (const Held& held : on(worker.id, {device.vendor, device.index})) {
        if (held.bytes < kWorthNaming || parts.size() == kShown) continue;
        parts.push_back(held.name == nullptr ? fmt::format("a deleted deployment holds {}", size_text(held.bytes))
                                             : fmt::format("\"{}\" holds {}", *held.name, size_text(held.bytes)));
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

std::string why_not(const Surveyed& on, const Asked& asked, Needs& needs, const Holders& holders) {
    if (*on.rule != '\0') return on.reason;
    std::vector<std::string> reasons;
    if (!on.view.accelerators.empty()) reasons.push_back(lack_of_accelerators(on, asked, needs, holders));
    if (const SurveyedDevice* memory = roomiest(on, true)) {
        const uint64_t needed = needed_of(*memory, on, 1, needs);
        if (asked.deployment.placement.device_count > 1) {
            reasons.push_back("the machine's memory is one device");
        } else if (needed > memory->room.allocatable_bytes) {
            reasons.push_back(lack_of_room(*memory, needed, on, holders));
        }
    }
    if (asked.deployment.placement.across_workers) {
        if (const Reason why = cannot_take_part(*on.worker, asked)) reasons.push_back(*why);
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

std::string why_nowhere(const std::vector<Surveyed>& workers, const Asked& asked, Needs& needs, const Holders& holders) {
    constexpr size_t kShown = 4;   // one line for a person, not a list of a thousand workers
    if (workers.empty()) return "no worker is there to run it: start one, or the server without --no-worker";
    std::vector<std::string> parts;
    for (size_t i = 0; i < std::min(workers.size(), kShown); ++i) parts.push_back(why_not(workers[i], asked, needs, holders));
    if (workers.size() > kShown) parts.push_back(fmt::format("and {} more", workers.size() - kShown));
    return "no worker can take it: " + joined(parts, "; ");
}

std::string why_there(const Placement& placement, const Candidate& candidate, const Asked& asked, const Needs& needs, size_t rivals) {
    std::vector<std::string> devices;
    for (const Slot& slot : candidate.slots) {
        devices.push_back(candidate.kind == Kind::kSeveralWorkers ? slot.worker->name + "/" + to_string(slot.name()) : to_string(slot.name()));
    }
    std::string text = fmt::format("{}: {}", candidate.slots.front().worker->name, joined(devices));
    if (candidate.kind == Kind::kSeveralWorkers) {
        text += fmt::format(", {} workers together", candidate.views.size());
        if (!candidate.layers.empty()) text += fmt::format(", with {} layers", fmt::join(candidate.layers, " + "));
        if (candidate.stages > 1) text += ", a stage of a pipeline each";
    }
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
                                     const Holders& holders) {
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
        const uint32_t ranks = fewest_ranks(on, asked, needs);
        verdict.devices.reserve(on.devices.size());
        for (const SurveyedDevice& device : on.devices) verdict.devices.push_back(verdict_of(device, on, chosen, needs, ranks, holders));
        if (*on.rule == '\0' && on.candidates.empty() && !chosen) verdict.reason = why_not(on, asked, needs, holders);
        verdicts.push_back(std::move(verdict));
    }
    return verdicts;
}

}  // namespace gantry::placement
