#pragma once
// A dry run of placement for a deployment as it stands, everything explained. May block on the disk.

#include "control/api/api.h"
#include "protocol/management/objects.h"

namespace gantry::control {

// Where the deployment's source leaves open which of a hub's quantizations it is: writes the one into it that suits the workers of `view`
// best, and says why. nullopt: nothing was open, or its hub does not answer now. May take many seconds.
std::optional<protocol::management::QuantizationChoice> settle_quantization(ApiContext& api, Deployment& deployment, const Snapshot& view);

protocol::management::Evaluation evaluate(ApiContext& api, const Deployment& deployment, const Snapshot& view);

}  // namespace gantry::control
