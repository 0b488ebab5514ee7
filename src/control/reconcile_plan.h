#pragma once
// What to do next so that what is there becomes what is wanted. Pure: a snapshot in, a list of actions out; nothing is
// remembered between calls (level-triggered), so that a lost event costs a delay and never a wrong state. The applier
// (plan_apply.h) checks each action again when it commits it.

#include <set>
#include <string>
#include <variant>
#include <vector>

#include "domain/evaluation.h"
#include "domain/snapshot.h"
#include "placement/scheduler.h"

namespace gantry::control {

struct CreateInstance {
    DeploymentId deployment_id;
    uint32_t index = 0;
    int64_t generation = 1;
    int64_t deployment_version = 1;   // the one that this plan saw
};
struct PlaceInstance {
    InstanceId id;
    Decision decision;                // with a placement; explained, to be kept with the instance
};
struct ExplainInstance {              // nowhere to place it; the reason changed
    InstanceId id;
    std::string reason;
};
struct StopInstance {
    InstanceId id;
    std::string why;                  // for the log
};
struct DeleteInstance {
    InstanceId id;
};
struct FinishRollout {                // all replicas run this revision
    DeploymentId deployment_id;
    int64_t generation = 1;
};
struct RevertRollout {                // what was wanted does not come up
    DeploymentId deployment_id;
    int64_t deployment_version = 1;   // the one that this plan saw
    int64_t to_generation = 1;        // the last good revision
    std::string why;                  // for a person
};
using Action = std::variant<CreateInstance, PlaceInstance, ExplainInstance, StopInstance, DeleteInstance, FinishRollout, RevertRollout>;

struct PlanInput {
    Snapshot snapshot;                // with what was observed
    placement::Knowledge knowledge;   // of the models that wait for a place
    std::set<InstanceId> gone;        // stopping, and their worker confirmed that they are no more (heartbeat.h)
    WallTime now{};                   // for deadlines
};

std::vector<Action> plan(const PlanInput& input);

}  // namespace gantry::control
