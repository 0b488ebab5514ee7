#include "placement/survey.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "placement/device_filters/device_filters.h"
#include "placement/worker_filters/worker_filters.h"

namespace gantry::placement {
namespace {

constexpr double kScoreStep = 1e-6;   // scores nearer than this are equal

bool is_memory(const Device& device) { return device.vendor == "cpu"; }

SurveyedDevice look_at(const Worker& worker, const Device& device, const Asked& asked, const Room& room) {
    SurveyedDevice seen{.device = &device, .name = {device.vendor, device.index}};
    seen.room = room.of(worker.id, seen.name);
    for (const DeviceFilter& filter : kDeviceFilters) {
        if (Reason reason = filter.refuse(worker, device, asked)) {
            seen.rule = filter.rule;
            seen.reason = *std::move(reason);
            break;
        }
    }
    return seen;
}

// Backends that don't mix both compute in memory only where there is nothing better, or where somebody asked for it: whoever runs vLLM
// on a machine with accelerators has its build for them.
bool memory_instead(const Surveyed& on, const Asked& asked) {
    if (asked.backend.can_offload() || asked.wants_type("cpu", "") || asked.names(*on.worker, {"cpu", 0})) return true;
    return std::none_of(on.devices.begin(), on.devices.end(), [](const SurveyedDevice& d) {
        return !is_memory(*d.device) && std::string_view(d.rule) != kSupported;
    });
}

void look_at_devices(Surveyed& on, const Asked& asked, const Room& room) {
    on.view.worker = on.worker;
    for (const Device& device : on.worker->devices) on.devices.push_back(look_at(*on.worker, device, asked, room));
    for (SurveyedDevice& seen : on.devices) {
        const Slot slot{.worker = on.worker, .device = seen.device, .room = seen.room.allocatable_bytes, .instances = seen.room.instances};
        if (is_memory(*seen.device)) {
            on.view.memory_room = seen.room.allocatable_bytes;
            on.view.tells_memory = true;
            if (*seen.rule == '\0' && !memory_instead(on, asked)) {
                seen.rule = "accelerators first";
                seen.reason = "this backend computes on the machine's accelerators; ask for the device type cpu to have it in memory";
            }
            if (*seen.rule == '\0') on.view.memory = slot;
        } else if (*seen.rule == '\0') {
            on.view.accelerators.push_back(slot);
        }
    }
    std::sort(on.view.accelerators.begin(), on.view.accelerators.end(), roomier);
}

}  // namespace

std::vector<Surveyed> survey(const Asked& asked, const Snapshot& snapshot, const Room& room, bool explain) {
    std::vector<Surveyed> all;
    all.reserve(snapshot.workers.size());
    for (const Worker& worker : snapshot.workers) {
        Surveyed on{.worker = &worker};
        for (const WorkerFilter& filter : kWorkerFilters) {
            if (Reason reason = filter.refuse(worker, asked)) {
                on.rule = filter.rule;
                on.reason = *std::move(reason);
                break;
            }
        }
        if (*on.rule == '\0' || explain) look_at_devices(on, asked, room);
        all.push_back(std::move(on));
    }
    return all;
}

bool better(const Candidate& a, double a_score, const Candidate& b, double b_score) {
    const auto rank = [](const Candidate& c) {
        const uint32_t in_memory = c.kind == Kind::kPartly ? UINT32_MAX - c.layers_on_devices() : 0;
        return std::tuple(c.kind, !c.good, in_memory, c.slots.size());
    };
    const auto rank_a = rank(a), rank_b = rank(b);
    if (rank_a != rank_b) return rank_a < rank_b;
    const double difference = a_score - b_score;
    if (std::abs(difference) > kScoreStep) return difference > 0;
    const auto where = [](const Candidate& c) { return std::tuple(c.slots.front().worker->id, c.slots.front().name()); };
    return where(a) < where(b);
}

}  // namespace gantry::placement
