#include "domain/worker.h"

namespace gantry {

const char* to_string(WorkerState state) {
    switch (state) {
        case WorkerState::kPending: return "pending";
        case WorkerState::kReady: return "ready";
        case WorkerState::kUnreachable: return "unreachable";
        case WorkerState::kDraining: return "draining";
    }
    return "pending";
}

std::optional<WorkerState> worker_state_from(const std::string& text) {
    for (const WorkerState state :
         {WorkerState::kPending, WorkerState::kReady, WorkerState::kUnreachable, WorkerState::kDraining}) {
        if (text == to_string(state)) return state;
    }
    return std::nullopt;
}

}  // namespace gantry
