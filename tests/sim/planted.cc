#include "sim/planted.h"

#include <algorithm>

namespace gantry::sim {
namespace {

using control::Action;
using control::CreateInstance;
using control::StopInstance;

template <class Drop>
std::vector<Action> without(std::vector<Action> actions, const Drop& drop) {
    std::erase_if(actions, drop);
    return actions;
}

std::vector<Action> without_claims(control::PlanInput input) {
    for (Instance& i : input.snapshot.instances) i.placement.claims.clear();
    for (Worker& w : input.snapshot.workers) {
        for (Device& d : w.devices) {
            d.memory_free_bytes = d.memory_total_bytes;
            d.processes.clear();
        }
    }
    return control::plan(input);
}

std::vector<Action> doubled(const std::vector<Action>& actions) {
    std::vector<Action> out;
    for (const Action& action : actions) {
        const auto* stop = std::get_if<StopInstance>(&action);
        if (stop != nullptr && stop->why == "there is another of its index") continue;
        out.push_back(action);
        if (std::holds_alternative<CreateInstance>(action)) out.push_back(action);
    }
    return out;
}

std::vector<Action> an_hour_later(control::PlanInput input) {
    input.now += std::chrono::hours(1);
    return control::plan(input);
}

bool has_live(const control::PlanInput& input, const DeploymentId& id) {
    return std::any_of(input.snapshot.instances.begin(), input.snapshot.instances.end(),
                       [&id](const Instance& i) { return i.deployment_id == id && !i.stopping; });
}

}  // namespace

std::vector<Action> plan_with(Bug bug, const control::PlanInput& input) {
    switch (bug) {
        case Bug::kPlacementIgnoresClaims: return without_claims(input);
        case Bug::kPlannerHurries: return an_hour_later(input);
        case Bug::kPlannerCreatesDoubles: return doubled(control::plan(input));
        case Bug::kPlannerForgetsDeployment:
            return without(control::plan(input), [&](const Action& a) {
                const auto* create = std::get_if<CreateInstance>(&a);
                return create != nullptr && create->deployment_id == input.snapshot.deployments.back().id;
            });
        case Bug::kPlannerNeverRestoresReplicas:
            return without(control::plan(input), [&](const Action& a) {
                const auto* create = std::get_if<CreateInstance>(&a);
                return create != nullptr && has_live(input, create->deployment_id);
            });
        default: return control::plan(input);
    }
}

}  // namespace gantry::sim
