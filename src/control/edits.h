#pragma once
// What an edit of a deployment or a worker does beside the fields that somebody asked for, and what stands against one. Pure.

#include <chrono>

#include "base/result.h"
#include "domain/snapshot.h"

namespace gantry::control {

// `d` is what `before` was edited to: another revision if its instances run something else now. Raises its version.
void finish_edit(const Deployment& before, Deployment& d, WallTime now);
// It wants a former revision again, as it was.
void roll_back(Deployment& d, const Revision& to, WallTime now);
// Nothing new comes, and what is there moves away within that time.
void drain(Worker& worker, std::chrono::seconds within, WallTime now);
// kConflict: why the worker can't be removed now. `worker` as it was observed.
Status check_removable(const Worker& worker, const Snapshot& rows);

}  // namespace gantry::control
