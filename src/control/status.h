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

}  // namespace gantry::control
