#include "sim/invariants.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "control/status.h"
#include "placement/scheduler.h"

namespace gantry::sim {
namespace {

std::vector<const Instance*> of(const Snapshot& rows, const DeploymentId& id) {
    std::vector<const Instance*> own;
    for (const Instance& i : rows.instances) {
        if (i.deployment_id == id) own.push_back(&i);
    }
    return own;
}

bool hopeless(const Deployment& d) { return is_bad(d.source) || is_refused(d.source); }

// The instances whose engines serve now, by the machines' word.
std::set<InstanceId> serving(const Workers& workers) {
    std::set<InstanceId> found;
    for (const auto& worker : workers) {
        for (const auto& [pid, engine] : worker->engines()) {
            if (worker->machine().answer_of(engine.instance, "").kind == worker::HealthAnswer::Kind::kReady) found.insert(engine.instance);
        }
    }
    return found;
}

// Where another instance of it would find room; empty: nowhere.
std::string room_for(const Deployment& d, const Calm& calm) {
    const placement::Room room(calm.view);
    const auto decision = placement::decide(d, calm.view, calm.knowledge.of({d.source}, calm.view), room, placement::Detail::kDecision);
    return decision.placement ? decision.placement->leader().text : std::string();
}

}  // namespace

std::string no_device_over_capacity(const Machine& machine) {
    for (const Device& device : machine.built_of()) {
        const uint64_t claimed = machine.claimed({device.vendor, device.index});
        if (claimed <= device.memory_total_bytes) continue;
        return fmt::format("{}: engines that run on {}/{} claim {} MiB of {} MiB", machine.name(), device.vendor, device.index, claimed >> 20,
                           device.memory_total_bytes >> 20);
    }
    return {};
}

std::string one_engine_an_instance(const Workers& workers) {
    std::map<InstanceId, std::string> seen;
    for (const auto& worker : workers) {
        for (const auto& [pid, engine] : worker->engines()) {
            if (!engine.lives()) continue;
            const auto [where, first] = seen.emplace(engine.instance, worker->name());
            if (!first) return fmt::format("two engines of {} run, on {} and on {}", engine.instance.text, where->second, worker->name());
        }
    }
    return {};
}

std::string nothing_acknowledged_is_lost(Ledger& ledger, const Snapshot& rows) { return ledger.missing_in(rows); }
std::string no_identifier_is_reused(Ledger& ledger, const Snapshot& rows) {
    const std::string id = ledger.used_again(rows);
    return id.empty() ? id : fmt::format("{} names another than it did before", id);
}

std::string no_more_replicas_than_allowed(const Snapshot& rows) {
    std::set<WorkerId> drained;
    for (const Worker& w : rows.workers) {
        if (w.drain_by) drained.insert(w.id);
    }
    for (const Deployment& d : rows.deployments) {
        size_t staying = 0, wanted = 0;
        bool made_since = false;   // beyond the last edit, which may have lowered what is allowed
        std::set<std::pair<int64_t, uint32_t>> places;
        for (const Instance* i : of(rows, d.id)) {
            if (i->stopping || drained.contains(i->worker_id)) continue;
            ++staying;
            if (i->generation == d.generation) ++wanted;
            made_since = made_since || i->created_at > d.updated_at;
            if (!places.emplace(i->generation, i->index).second) {
                return fmt::format("{}: two instances of replica {}, revision {}", d.name, i->index, i->generation);
            }
        }
        const size_t most = d.stopped ? 0 : d.replicas;
        const size_t surge = wanted < staying && d.rollout.strategy == UpdateStrategy::kRolling ? d.rollout.max_surge : 0;
        if (wanted > most || (made_since && staying > most + surge)) {
            return fmt::format("{}: {} instances are wanted ({} of revision {}), of {} replicas and a surge of {}", d.name, staying, wanted,
                               d.generation, most, surge);
        }
    }
    return {};
}

std::string no_update_is_taken_back_early(const control::PlanInput& input, const std::vector<control::Action>& actions) {
    const Snapshot& rows = input.snapshot;
    for (const control::Action& action : actions) {
        const auto* revert = std::get_if<control::RevertRollout>(&action);
        if (revert == nullptr) continue;
        const auto d = std::find_if(rows.deployments.begin(), rows.deployments.end(),
                                    [&](const Deployment& one) { return one.id == revert->deployment_id; });
        const auto own = of(rows, revert->deployment_id);
        // No state lasts longer than its instance is old, by the server's own clock.
        const bool justified = std::any_of(own.begin(), own.end(), [&](const Instance* i) {
            if (i->generation != d->generation || i->stopping) return false;
            const auto age = input.now - i->created_at;
            if (i->state == InstanceState::kError) return i->restarts >= 2 || age >= 10s;
            return age >= std::chrono::seconds(d->rollout.ready_seconds);
        });
        if (!justified) return fmt::format("{}: {}", d->name, revert->why);
    }
    return {};
}

std::string each_deployment_ends(const Calm& calm) {
    std::set<DeploymentId> known;
    for (const Deployment& d : calm.view.deployments) {
        known.insert(d.id);
        const auto status = control::deployment_status(d, of(calm.view, d.id));
        if (status.state == "running") continue;
        if (status.state == "stopped" && of(calm.view, d.id).empty()) continue;
        const bool failed = status.state == "error" || status.state == "pending" || status.state == "degraded" ||
                            (status.state == "starting" && hopeless(d));
        if (failed && !status.reason.empty()) continue;
        return fmt::format("{} ({}) is {}{}", d.name, d.id.text, status.state,
                           status.reason.empty() ? ", with no reason" : ": " + status.reason);
    }
    for (const Instance& i : calm.view.instances) {
        if (!known.contains(i.deployment_id)) {
            return fmt::format("{} is still there ({}), and its deployment was deleted", i.id.text, to_string(i.state));
        }
    }
    return {};
}

std::string replicas_converge(const Calm& calm) {
    const std::set<InstanceId> run = serving(calm.workers);
    for (const Deployment& d : calm.view.deployments) {
        const auto own = of(calm.view, d.id);
        const uint32_t wanted = d.stopped ? 0 : d.replicas;
        const auto serve = static_cast<uint32_t>(
            std::count_if(own.begin(), own.end(), [&](const Instance* i) { return run.contains(i->id) && i->generation == d.generation; }));
        if (serve > wanted) return fmt::format("{}: {} engines serve of {} replicas", d.name, serve, wanted);
        const std::string found = serve < wanted && !hopeless(d) ? room_for(d, calm) : std::string();
        if (!found.empty()) return fmt::format("{}: {} engines serve of {} replicas, and {} has room", d.name, serve, wanted, found);
        for (const Instance* i : own) {
            if (i->stopping) return fmt::format("{}: {} is still stopping", d.name, i->id.text);
            const auto host = std::find_if(calm.workers.begin(), calm.workers.end(),
                                           [i](const auto& worker) { return !i->worker_id.empty() && worker->id() == i->worker_id; });
            if (host == calm.workers.end() || hopeless(d) || run.contains(i->id)) continue;
            return fmt::format("{}: the engine of {} on {} does not serve: {} {}", d.name, i->id.text, (*host)->name(), to_string(i->state),
                               i->reason);
        }
    }
    return {};
}

std::string no_orphan_runs(const Calm& calm) {
    std::map<InstanceId, const Instance*> rows;
    for (const Instance& i : calm.view.instances) rows[i.id] = &i;
    for (const auto& worker : calm.workers) {
        for (const auto& [pid, engine] : worker->engines()) {
            if (!engine.lives()) continue;
            const auto row = rows.find(engine.instance);
            if (row != rows.end() && !row->second->stopping && row->second->worker_id == worker->id()) continue;
            return fmt::format("{}: the engine of {} runs (process {}), and {}", worker->name(), engine.instance.text, pid,
                               row == rows.end() ? "there is no such instance" : "the instance is not wanted there");
        }
    }
    return {};
}

std::string routes_lead_to_engines(const Calm& calm) {
    const std::set<InstanceId> run = serving(calm.workers);
    for (const Deployment& d : calm.view.deployments) {
        const auto entry = calm.routes.models.find(d.name);
        if (entry == calm.routes.models.end()) return fmt::format("the gateway does not know {}", d.name);
        std::set<InstanceId> targets;
        for (const gateway::Target& target : entry->second.targets) targets.insert(target.instance_id);
        for (const Instance* i : of(calm.view, d.id)) {
            const bool missed = run.contains(i->id) && !targets.contains(i->id) && !hopeless(d);
            if (missed) return fmt::format("{}: no route to {}, which serves", d.name, i->id.text);
        }
        for (const InstanceId& id : targets) {
            if (!run.contains(id) && !hopeless(d)) return fmt::format("{}: a route to {}, which does not serve", d.name, id.text);
        }
    }
    return {};
}

}  // namespace gantry::sim
