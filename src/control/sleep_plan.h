#pragma once
// Which deployments may go to sleep, as far as the control plane can tell. Pure. What only the gateway knows, when somebody asked for
// them last, it adds itself (gateway/activity.h).

#include <optional>
#include <string>
#include <vector>

#include "domain/snapshot.h"
#include "gateway/activity.h"

namespace gantry::control {

// Awake, with an idle timeout, and settled for at least as long: its instances serve, or none found room to. What loads, or is in an
// error, stays: the former was asked for, the latter has to be seen.
std::vector<gateway::IdleCandidate> sleep_candidates(const Snapshot& view, WallTime now);

// Asleep, though its deployment was stopped since.
bool sleeps_in_vain(const Deployment& deployment);

}  // namespace gantry::control
