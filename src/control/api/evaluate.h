#pragma once
// A dry run of placement for a deployment as it stands, everything explained. May block on the disk.

#include "control/api/api.h"
#include "protocol/management/objects.h"

namespace gantry::control {

protocol::management::Evaluation evaluate(ApiContext& api, const Deployment& deployment, const Snapshot& view);

}  // namespace gantry::control
