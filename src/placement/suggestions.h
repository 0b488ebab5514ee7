#pragma once
// What would make it fit: each change is tried, and only those that are true are said.

#include "placement/scheduler.h"

namespace gantry::placement {

std::vector<Suggestion> suggestions(const Deployment& deployment, const Snapshot& snapshot, const Knowledge& knowledge, const Room& room);

}  // namespace gantry::placement
