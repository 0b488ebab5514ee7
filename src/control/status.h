#pragma once
// What a deployment's instances add up to, for people and for the gateway. Pure.

#include <vector>

#include "domain/snapshot.h"
#include "protocol/management/objects.h"

namespace gantry::control {

// `instances`: those of this deployment, with what was observed of them.
protocol::management::DeploymentStatus deployment_status(const Deployment& deployment,
                                                         const std::vector<const Instance*>& instances);
// Why a request can't be served now, for ModelEntry::not_ready_reason: "loading (42 %)", "stopped", ... All who ask for the
// model read it, so it is the public part.
std::string not_ready_reason(const protocol::management::DeploymentStatus& status);

// Of a deployment none of whose instances serves: whether one will in a while, as far as one can tell; else its reason says why not.
// `room_to_come`: somewhere an instance is stopping, so that one that finds no room now may find it then.
bool is_on_its_way(const std::vector<const Instance*>& instances, bool room_to_come);

}  // namespace gantry::control
