#include "placement/placement.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>

namespace gantry::placement {
namespace {

// A rule refuses a worker with a reason, or lets it pass.
struct Rule {
    const char* name;
    std::optional<std::string> (*refuse)(const Worker& worker);
};

std::optional<std::string> refuse_not_ready(const Worker& worker) {
    switch (worker.state) {
        case WorkerState::kReady:
        case WorkerState::kDraining:  // reports well; whether it takes new instances is the next rule's matter
            return std::nullopt;
        case WorkerState::kPending:
            return fmt::format("{} has not reported yet", worker.name);
        case WorkerState::kUnreachable:
            return fmt::format("{} is unreachable since {}", worker.name, to_rfc3339(worker.last_report_at));
    }
    return fmt::format("{} is in an unknown state", worker.name);
}

std::optional<std::string> refuse_cordoned(const Worker& worker) {
    if (!worker.cordoned && worker.state != WorkerState::kDraining) return std::nullopt;
    return fmt::format("{} is cordoned: it takes no new instances", worker.name);
}

// In the order in which they are asked; a worker is refused by the first that refuses it.
constexpr Rule kRules[] = {{"ready", refuse_not_ready}, {"not cordoned", refuse_cordoned}};

std::optional<Refusal> refusal(const Worker& worker) {
    for (const Rule& rule : kRules) {
        if (auto reason = rule.refuse(worker)) return Refusal{worker.id, rule.name, *std::move(reason)};
    }
    return std::nullopt;
}

// What a worker carries already. An instance that is stopping still holds its memory, so it counts.
struct Load {
    size_t of_deployment = 0;
    size_t all = 0;
};

}  // namespace

Decision place(const Instance& instance, const Deployment& deployment, const Snapshot& snapshot) {
    std::map<WorkerId, Load> loads;
    for (const Instance& other : snapshot.instances) {
        if (other.worker_id.empty() || other.id == instance.id) continue;
        Load& load = loads[other.worker_id];
        ++load.all;
        if (other.deployment_id == deployment.id) ++load.of_deployment;
    }
    Decision decision;
    const Worker* best = nullptr;
    // Fewest instances first; of equals the one with fewer of this deployment, so that a machine's end takes few replicas
    // along; then by id, so that the same snapshot always gives the same answer.
    const auto rank = [&loads](const Worker& worker) {
        const Load load = loads[worker.id];
        return std::tuple(load.all, load.of_deployment, worker.id);
    };
    for (const Worker& worker : snapshot.workers) {
        if (auto refused = refusal(worker)) {
            decision.refusals.push_back(*std::move(refused));
        } else if (best == nullptr || rank(worker) < rank(*best)) {
            best = &worker;
        }
    }
    if (best != nullptr) decision.worker_id = best->id;
    return decision;
}

std::string explain(const Decision& decision) {
    if (!decision.worker_id.empty()) return {};
    if (decision.refusals.empty()) return "no worker is there to run it: start one, or the server without --no-worker";
    constexpr size_t kShown = 4;  // one line for a person, not a list of a thousand workers
    std::string text = "no worker can take it: ";
    for (size_t i = 0; i < std::min(decision.refusals.size(), kShown); ++i) {
        if (i > 0) text += "; ";
        text += decision.refusals[i].reason;
    }
    if (decision.refusals.size() > kShown) text += fmt::format("; and {} more", decision.refusals.size() - kShown);
    return text;
}

}  // namespace gantry::placement
