#pragma once
// What must hold. Each is a function of the truth (machines, what users were told) and of the server's rows; what it finds is a
// sentence for a person, empty where all is well. Its name is what a violation is called by.

#include <string>
#include <vector>

#include "control/knowledge.h"
#include "control/reconcile_plan.h"
#include "gateway/tables.h"
#include "sim/ledger.h"
#include "sim/sim_worker.h"

namespace gantry::sim {

using Workers = std::vector<std::unique_ptr<SimWorker>>;

// At any moment.
std::string no_device_over_capacity(const Machine& machine);
std::string one_engine_an_instance(const Workers& workers);
// Whenever the server has rows to read.
std::string nothing_acknowledged_is_lost(Ledger& ledger, const Snapshot& rows);
std::string no_identifier_is_reused(Ledger& ledger, const Snapshot& rows);
// After each round of the reconciler that went well.
std::string no_more_replicas_than_allowed(const Snapshot& rows);
// Of each plan: an update is taken back only where an instance of it failed for good, or was not ready in its time.
std::string no_update_is_taken_back_early(const control::PlanInput& input, const std::vector<control::Action>& actions);

// Once faults and users have stopped, and for so long nothing changes any more.
struct Calm {
    const Workers& workers;
    const Snapshot& view;                  // rows, with what was observed
    const gateway::RouteTable& routes;
    control::KnowledgeSource& knowledge;
};
// Each deployment ends running, stopped, or failed with a reason; deleted ones have left no instance.
std::string each_deployment_ends(const Calm& calm);
// As many engines of the wanted revision really run as replicas are wanted, but for models that can't and for want of room.
std::string replicas_converge(const Calm& calm);
// Whatever runs is wanted.
std::string no_orphan_runs(const Calm& calm);
// The gateway sends requests to all engines that serve, and to no others.
std::string routes_lead_to_engines(const Calm& calm);

}  // namespace gantry::sim
