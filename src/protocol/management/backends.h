#pragma once
// What /api/v1/backends shows: the engine products that there are, and where each works now.

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "domain/deployment.h"
#include "domain/worker.h"

namespace gantry::protocol::management {

struct BackendOnWorker {
    struct OnDevice {
        std::string vendor{}, name{};
        uint32_t index = 0;
        std::string reason{};          // why it does not work there; empty: it does
    };
    WorkerId id{};
    std::string name{};
    WorkerState worker_state = WorkerState::kPending;
    std::string state{};               // ready, missing, refused, by_command, unknown
    std::string path{}, version{};     // of the program; empty: none, unknown
    std::string reason{};              // why it is not ready
    std::string next_step{};           // what makes it so; empty: nothing is to be done, or nothing can be
    std::vector<OnDevice> devices{};
};

struct BackendOverview {
    struct Flag {
        std::string_view name;
        std::string_view takes;        // empty: nothing
    };
    BackendKind kind = BackendKind::kEngine;
    std::string_view title{}, summary{}, homepage{};
    std::vector<std::string_view> formats{}, modalities{}, kv_types{};
    std::vector<Flag> flags{};
    bool can_offload = false;
    std::string_view spanning{};       // layers, stages, tensors; empty: an instance is on one worker
    std::vector<const Deployment*> deployments{};
    std::vector<BackendOnWorker> workers{};
};
json::object to_json(const BackendOverview& backend);

// What others than admins see: no path of a machine.
void hide_from_users(BackendOverview& backend);

}  // namespace gantry::protocol::management
