#pragma once
// Commits a plan: each action is checked again against the row it concerns, which may have changed since the snapshot, and
// is one transaction. What no longer fits is left out; the next plan sees why.
// Threads: the reconciler's.

#include <vector>

#include "base/clock.h"
#include "control/reconcile_plan.h"
#include "store/store.h"

namespace gantry::control {

struct Applied {
    size_t done = 0;
    size_t outdated = 0;          // left out, because the row changed meanwhile
    std::optional<Error> error;   // the first that the store gave; the rest of the plan is not tried
};
Applied apply(const std::vector<Action>& plan, store::Store& store, const Clock& clock, RandomSource& random);

}  // namespace gantry::control
