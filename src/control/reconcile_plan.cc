#include "control/reconcile_plan.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <tuple>
#include <unordered_map>


namespace gantry::control {
namespace {

using ByDeployment = std::map<DeploymentId, std::vector<const Instance*>>;

class Planner {
public:
    explicit Planner(const PlanInput& input) : input_(input), snapshot_(input.snapshot) {
        for (const Worker& worker : snapshot_.workers) workers_[worker.id] = &worker;
        for (const Instance& instance : snapshot_.instances) instances_[instance.deployment_id].push_back(&instance);
    }

    std::vector<Action> run() {
        delete_gone();
        stop_orphans();
        for (const Deployment& deployment : snapshot_.deployments) {
            stop_surplus(deployment);
            replace_stale(deployment);
            create_missing(deployment);
            move_away(deployment);
        }
        place_pending();
        return std::move(actions_);
    }

private:
    const std::vector<const Instance*>& of(const DeploymentId& id) { return instances_[id]; }

    bool reachable(const WorkerId& id) const {
        const auto found = workers_.find(id);
        return found != workers_.end() && found->second->state != WorkerState::kUnreachable;
    }

    // Stays: wanted so far, by the rows and by this plan.
    bool stays(const Instance& i) const { return !i.stopping && !stopped_.contains(i.id); }

    // Still holds a place: a replacement waits for it, because two copies may not fit the machine's memory. What stops on a
    // machine that doesn't answer may never be confirmed gone; nobody waits for that.
    bool holds_place(const Instance& i) const {
        return stays(i) || (!deleted_.contains(i.id) && !i.worker_id.empty() && reachable(i.worker_id));
    }

    // The deadline of the drain of the worker it is on: it leaves, and counts for nothing but what it serves until then.
    std::optional<WallTime> leaves_by(const Instance& i) const {
        const auto found = workers_.find(i.worker_id);
        return found == workers_.end() ? std::nullopt : found->second->drain_by;
    }

    void stop(const Instance& instance, std::string why) {
        stopped_.insert(instance.id);
        actions_.push_back(StopInstance{instance.id, std::move(why)});
    }

    void delete_gone() {
        for (const Instance& i : snapshot_.instances) {
            if (!i.stopping) continue;
            // Never placed, or on a worker that was removed: no process can be there.
            if (i.worker_id.empty() || !workers_.contains(i.worker_id) || input_.gone.contains(i.id)) {
                deleted_.insert(i.id);
                actions_.push_back(DeleteInstance{i.id});
            }
        }
    }

    void stop_orphans() {
        std::set<DeploymentId> known;
        for (const Deployment& d : snapshot_.deployments) known.insert(d.id);
        for (const Instance& i : snapshot_.instances) {
            if (!known.contains(i.deployment_id) && stays(i)) stop(i, "its deployment was deleted");
        }
    }

    // More than wanted: the highest index goes first, so that what stays is 0..replicas-1.
    void stop_surplus(const Deployment& d) {
        std::vector<const Instance*> live;
        for (const Instance* i : of(d.id)) {
            if (stays(*i) && !leaves_by(*i)) live.push_back(i);
        }
        const size_t wanted = d.stopped ? 0 : d.replicas;
        std::sort(live.begin(), live.end(), [](const Instance* a, const Instance* b) {
            return std::tie(a->index, a->created_at, a->id) > std::tie(b->index, b->created_at, b->id);
        });
        // Two of one index are nothing that we make; should they be there all the same, the older stays.
        const auto twin = [&live, this](const Instance* i) {
            const bool doubled = std::any_of(live.begin(), live.end(), [i](const Instance* other) {
                return other != i && other->index == i->index &&
                       std::tie(other->created_at, other->id) < std::tie(i->created_at, i->id);
            });
            if (doubled) stop(*i, "there is another of its index");
            return doubled;
        };
        std::vector<const Instance*> single;
        std::copy_if(live.begin(), live.end(), std::back_inserter(single), [&twin](const Instance* i) { return !twin(i); });
        live = std::move(single);
        if (live.size() <= wanted) return;
        for (size_t k = 0; k < live.size() - wanted; ++k) {
            stop(*live[k], d.stopped ? "its deployment is stopped" : "fewer replicas are wanted");
        }
    }

    // The deployment was edited: what runs the old generation goes, and create_missing makes the new. What serves is replaced
    // one at a time, the old one stopped before the new one starts, so with one replica there is a gap. (A rolling update
    // with a surplus replica and automatic revert comes with the issue on rolling updates.) What doesn't serve goes at once.
    void replace_stale(const Deployment& d) {
        bool settled = true;  // nothing of this deployment is on its way in or out
        const Instance* serving = nullptr;
        for (const Instance* i : of(d.id)) {
            if (leaves_by(*i)) continue;  // another of the new generation takes over anyhow
            if (!stays(*i)) {
                settled = settled && !holds_place(*i);
            } else if (i->generation == d.generation) {
                settled = settled && i->state == InstanceState::kRunning;
            } else if (i->state != InstanceState::kRunning) {
                stop(*i, "its deployment was edited");
                settled = false;
            } else if (serving == nullptr || i->index < serving->index) {
                serving = i;
            }
        }
        size_t live = 0;
        for (const Instance* i : of(d.id)) live += stays(*i) && !leaves_by(*i) ? 1 : 0;
        const bool complete = live >= d.replicas;  // the replacement of the one before has been made
        if (serving != nullptr && settled && complete) stop(*serving, "its deployment was edited");
    }

    void create_missing(const Deployment& d) {
        if (d.stopped) return;
        std::set<uint32_t> used;
        size_t places = 0;
        for (const Instance* i : of(d.id)) {
            if (!holds_place(*i)) continue;
            used.insert(i->index);
            if (!leaves_by(*i)) ++places;
        }
        // An instance on an unreachable worker keeps its place: it most likely still serves, and comes back by itself.
        for (uint32_t index = 0; places < d.replicas; ++index) {
            if (used.contains(index)) continue;
            actions_.push_back(CreateInstance{d.id, index, d.generation, d.version});
            ++places;
        }
    }

    // Off workers that are drained: what serves goes once another has taken over, or when the drain's time is up.
    void move_away(const Deployment& d) {
        std::vector<const Instance*> leaving;
        size_t serving = 0;
        for (const Instance* i : of(d.id)) {
            if (!stays(*i)) continue;
            serving += i->state == InstanceState::kRunning ? 1 : 0;
            if (leaves_by(*i)) leaving.push_back(i);
        }
        const size_t wanted = d.stopped ? 0 : d.replicas;
        for (const Instance* i : leaving) {
            if (i->state != InstanceState::kRunning) {
                stop(*i, "its worker is drained");
            } else if (serving > wanted) {
                stop(*i, "another has taken over, its worker is drained");
                --serving;
            } else if (input_.now >= *leaves_by(*i)) {
                stop(*i, "the time of its worker's drain is up");
                --serving;
            }
        }
    }

    void place_pending() {
        std::unordered_map<DeploymentId, const Deployment*> deployments;
        for (const Deployment& d : snapshot_.deployments) deployments[d.id] = &d;
        Snapshot working = snapshot_;  // what this plan placed counts for the next
        std::optional<placement::Room> room;
        for (Instance& instance : working.instances) {
            const auto deployment = deployments.find(instance.deployment_id);
            if (!stays(instance) || !instance.worker_id.empty() || deployment == deployments.end()) continue;
            if (!room) room.emplace(working);
            const auto decide = [&](placement::Detail detail) {
                return placement::decide(*deployment->second, working, input_.knowledge, *room, detail);
            };
            Decision decision = decide(placement::Detail::kDecision);
            if (decision.placement) {
                decision = decide(placement::Detail::kExplained);
                instance.placement = *decision.placement;
                instance.worker_id = decision.placement->leader();
                room->book(*decision.placement);
                actions_.push_back(PlaceInstance{instance.id, std::move(decision)});
            } else if (decision.reason != instance.reason) {
                actions_.push_back(ExplainInstance{instance.id, std::move(decision.reason)});
            }
        }
    }

    const PlanInput& input_;
    const Snapshot& snapshot_;
    std::unordered_map<WorkerId, const Worker*> workers_;
    ByDeployment instances_;
    std::set<InstanceId> stopped_;   // by this plan
    std::set<InstanceId> deleted_;   // by this plan
    std::vector<Action> actions_;
};

}  // namespace

std::vector<Action> plan(const PlanInput& input) { return Planner(input).run(); }

}  // namespace gantry::control
