#include "domain/instance.h"

#include <algorithm>

namespace gantry {

namespace {
constexpr InstanceState kAll[] = {InstanceState::kPending,  InstanceState::kScheduled, InstanceState::kDownloading,
                                  InstanceState::kStarting, InstanceState::kRunning,   InstanceState::kStopping,
                                  InstanceState::kError,    InstanceState::kUnreachable};
}

const char* to_string(InstanceState state) {
    switch (state) {
        case InstanceState::kPending: return "pending";
        case InstanceState::kScheduled: return "scheduled";
        case InstanceState::kDownloading: return "downloading";
        case InstanceState::kStarting: return "starting";
        case InstanceState::kRunning: return "running";
        case InstanceState::kStopping: return "stopping";
        case InstanceState::kError: return "error";
        case InstanceState::kUnreachable: return "unreachable";
    }
    return "pending";
}

std::optional<InstanceState> instance_state_from(const std::string& text) {
    for (const InstanceState state : kAll) {
        if (text == to_string(state)) return state;
    }
    return std::nullopt;
}

bool Instance::is_on(const WorkerId& worker) const {
    if (worker_id.empty()) return false;
    const auto& claims = placement.claims;
    return worker_id == worker || std::any_of(claims.begin(), claims.end(), [&](const DeviceClaim& claim) { return claim.worker_id == worker; });
}

std::vector<WorkerId> Instance::workers() const {
    if (worker_id.empty()) return {};
    return placement.spans_workers() ? placement.workers() : std::vector<WorkerId>{worker_id};
}

}  // namespace gantry
