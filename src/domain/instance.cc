#include "domain/instance.h"

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

}  // namespace gantry
