#pragma once
// The real planner with a bug planted around it.

#include <vector>

#include "control/reconcile_plan.h"
#include "sim/faults.h"

namespace gantry::sim {

std::vector<control::Action> plan_with(Bug bug, const control::PlanInput& input);

}  // namespace gantry::sim
