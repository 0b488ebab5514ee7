#pragma once
// A plan's actions as one line of text: "create:0@2 stop:old".

#include <fmt/format.h>

#include <string>
#include <vector>

#include "control/reconcile_plan.h"

namespace gantry::control {

struct ActionName {
    std::string operator()(const CreateInstance& a) const { return fmt::format("create:{}@{}", a.index, a.generation); }
    std::string operator()(const PlaceInstance& a) const { return "place:" + a.id.text; }
    std::string operator()(const ExplainInstance& a) const { return "explain:" + a.id.text; }
    std::string operator()(const StopInstance& a) const { return "stop:" + a.id.text; }
    std::string operator()(const DeleteInstance& a) const { return "delete:" + a.id.text; }
    std::string operator()(const FinishRollout& a) const { return fmt::format("finish:{}", a.generation); }
    std::string operator()(const RevertRollout& a) const { return fmt::format("revert:{}", a.to_generation); }
};
// With the worker: "place:new>w1".
struct ActionNameWithWorker : ActionName {
    using ActionName::operator();
    std::string operator()(const PlaceInstance& a) const { return "place:" + a.id.text + ">" + a.decision.placement->leader().text; }
};

template <class Name = ActionName>
std::string names_of(const std::vector<Action>& actions) {
    std::string text;
    for (const Action& action : actions) text += (text.empty() ? "" : " ") + std::visit(Name{}, action);
    return text;
}

}  // namespace gantry::control
