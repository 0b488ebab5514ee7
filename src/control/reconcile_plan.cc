#include "control/reconcile_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <tuple>
#include <unordered_map>

namespace gantry::control {
namespace {

using ByDeployment = std::map<DeploymentId, std::vector<const Instance*>>;

constexpr std::chrono::seconds kErrorStays{10};   // an error that lasts so long is not one that is tried again at once
constexpr uint32_t kRestartsUntilFailed = 2;

// Why an instance of a new revision counts as failed, before it was ever ready; empty: it may still come up.
std::string failure_of(const Instance& i, const RolloutOptions& rollout, WallTime now) {
    const auto lasts = now - i.state_since;
    switch (i.state) {
        case InstanceState::kError:
            if (i.restarts < kRestartsUntilFailed && lasts < kErrorStays) return {};
            return i.reason.empty() ? "it ended in an error" : i.reason;
        case InstanceState::kPending:
        case InstanceState::kScheduled:
        case InstanceState::kStarting:
            if (lasts < std::chrono::seconds(rollout.ready_seconds)) return {};
            return fmt::format("it was {} for {} s{}{}", to_string(i.state), rollout.ready_seconds, i.reason.empty() ? "" : ": ", i.reason);
        case InstanceState::kDownloading:   // of the network, which finds out itself where nothing comes any more
        case InstanceState::kRunning:
        case InstanceState::kStopping:
        case InstanceState::kUnreachable: return {};   // of its worker, which says nothing of the revision
    }
    return {};
}

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
            if (judge_rollout(deployment)) continue;
            stop_surplus(deployment);
            stop_idle_stale(deployment);
        }
        place_pending();   // before what is replaced is chosen: that depends on what finds no room
        for (const Deployment& deployment : snapshot_.deployments) {
            if (reverted_.contains(deployment.id)) continue;
            replace_stale(deployment);
            create_missing(deployment);
            move_away(deployment);
        }
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
        if (stays(i)) return true;
        const std::vector<WorkerId> on = i.workers();
        return !deleted_.contains(i.id) && !on.empty() && std::all_of(on.begin(), on.end(), [this](const WorkerId& id) { return reachable(id); });
    }

    // The deadline of the drain of the worker it is on, of several the earliest: it leaves, and counts for nothing but what it serves
    // until then.
    std::optional<WallTime> leaves_by(const Instance& i) const {
        std::optional<WallTime> by;
        for (const WorkerId& id : i.workers()) {
            const auto found = workers_.find(id);
            if (found == workers_.end() || !found->second->drain_by) continue;
            by = by ? std::min(*by, *found->second->drain_by) : *found->second->drain_by;
        }
        return by;
    }

    void stop(const Instance& instance, std::string why) {
        stopped_.insert(instance.id);
        actions_.push_back(StopInstance{instance.id, std::move(why)});
    }

    void delete_gone() {
        for (const Instance& i : snapshot_.instances) {
            if (!i.stopping) continue;
            // Never placed, or on workers that were all removed: no process can be there.
            const std::vector<WorkerId> on = i.workers();
            if (input_.gone.contains(i.id) || std::none_of(on.begin(), on.end(), [this](const WorkerId& id) { return workers_.contains(id); })) {
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

    // More than wanted: the highest index goes first, so that what stays is 0..replicas-1. Each generation counts for itself: what
    // an update replaces is replace_stale's.
    void stop_surplus(const Deployment& d) {
        std::vector<const Instance*> live;
        for (const Instance* i : of(d.id)) {
            const bool counts = instances_wanted(d) == 0 || i->generation == d.generation;
            if (stays(*i) && !leaves_by(*i) && counts) live.push_back(i);
        }
        const size_t wanted = instances_wanted(d);
        const char* const why = d.stopped ? "its deployment is stopped" : d.asleep_since ? "its deployment sleeps" : "fewer replicas are wanted";
        std::sort(live.begin(), live.end(), [](const Instance* a, const Instance* b) {
            return std::tie(a->index, a->created_at, a->id) > std::tie(b->index, b->created_at, b->id);
        });
        // Two of one index are nothing that we make; should they be there all the same, the older stays.
        const auto twin = [&live, this](const Instance* i) {
            const bool doubled = std::any_of(live.begin(), live.end(), [i](const Instance* other) {
                return other != i && other->index == i->index && other->generation == i->generation &&
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
            stop(*live[k], why);
        }
    }

    // What runs another revision than the wanted one and doesn't serve is worth nothing.
    void stop_idle_stale(const Deployment& d) {
        for (const Instance* i : of(d.id)) {
            const bool idle = i->generation != d.generation && i->state != InstanceState::kRunning;
            if (idle && stays(*i)) stop(*i, "its deployment was edited");
        }
    }

    // Whether the wanted revision has come up, or never will. True: it is taken back, and what this plan saw of the deployment is
    // no longer what is wanted.
    bool judge_rollout(const Deployment& d) {
        if (instances_wanted(d) == 0) return false;
        const auto& revisions = snapshot_.revisions;
        const bool known = find_revision(revisions, d.id, d.generation) != nullptr;
        const Revision* const good = last_good(revisions, d.id);
        if (!known || (good != nullptr && good->generation == d.generation)) return false;
        size_t serving = 0;
        bool old = false;
        std::string failure;
        for (const Instance* i : of(d.id)) {
            if (!stays(*i)) continue;
            if (i->generation != d.generation) old = true;
            else if (i->state == InstanceState::kRunning) ++serving;
            else if (failure.empty() && !leaves_by(*i)) failure = failure_of(*i, d.rollout, input_.now);
        }
        if (serving >= d.replicas && !old) actions_.push_back(FinishRollout{d.id, d.generation});
        if (good == nullptr || failure.empty()) return false;
        actions_.push_back(RevertRollout{d.id, d.version, good->generation,
                                         fmt::format("revision {} is wanted again, because revision {} did not become ready: {}",
                                                     good->generation, d.generation, failure)});
        reverted_.insert(d.id);
        return true;
    }

    // The deployment was edited: as instances of the wanted revision serve, those of others go; `replicas` serve all the time.
    // Where a new one finds no room beside them, one goes before it if `max_unavailable` allows that, or if it is the only one.
    void replace_stale(const Deployment& d) {
        std::vector<const Instance*> old;
        const Instance* homeless = nullptr;
        bool loading = false;   // a new one found room and is on its way
        size_t serving = 0;
        for (const Instance* i : of(d.id)) {
            if (!stays(*i) || leaves_by(*i)) continue;   // what leaves is move_away's
            serving += i->state == InstanceState::kRunning ? 1 : 0;
            if (i->generation != d.generation) old.push_back(i);
            else if (homeless_.contains(i->id)) homeless = i;
            else if (i->state != InstanceState::kRunning) loading = true;
        }
        std::sort(old.begin(), old.end(), [](const Instance* a, const Instance* b) {
            return std::tie(a->index, a->created_at, a->id) < std::tie(b->index, b->created_at, b->id);
        });
        const bool recreate = d.rollout.strategy == UpdateStrategy::kRecreate;
        for (const Instance* i : old) {
            if (!recreate && serving <= d.replicas) break;
            stop(*i, recreate ? "its deployment was edited" : "a new one has taken over");
            --serving;
        }
        if (recreate || (d.rollout.max_surge > 0 && (homeless == nullptr || loading))) return;
        const bool leaving = std::any_of(of(d.id).begin(), of(d.id).end(),
                                         [this](const Instance* i) { return !stays(*i) && holds_place(*i); });
        if (leaving) return;   // what it leaves may be enough
        const uint32_t missing = d.rollout.max_surge == 0 ? std::max(1u, d.rollout.max_unavailable) : d.rollout.max_unavailable;
        const bool only_one = homeless != nullptr && d.replicas == 1;
        if (serving + missing <= d.replicas && !only_one) return;
        for (const Instance* i : old) {
            if (!stays(*i) || (homeless != nullptr && !makes_room(*i, d))) continue;
            stop(*i, homeless != nullptr ? "a new one finds no room beside it" : "no surge is allowed");
            return;
        }
    }

    // Whether one more instance of the deployment would find a place if this one were gone.
    bool makes_room(const Instance& leaving, const Deployment& d) const {
        placement::Room room(snapshot_);
        room.release(leaving.placement);
        return placement::decide(d, snapshot_, input_.knowledge, room, placement::Detail::kDecision).placement.has_value();
    }

    void create_missing(const Deployment& d) {
        if (instances_wanted(d) == 0) return;
        std::set<uint32_t> used;
        size_t places = 0, fresh = 0;
        bool updating = false;   // old ones serve on beside what is made
        for (const Instance* i : of(d.id)) {
            if (!holds_place(*i)) continue;
            const bool wanted = i->generation == d.generation;
            if (wanted) used.insert(i->index);
            if (leaves_by(*i)) continue;
            ++places;
            if (wanted) ++fresh;
            else updating = updating || stays(*i);
        }
        const size_t most = d.replicas + (updating ? d.rollout.max_surge : 0);
        // An instance on an unreachable worker keeps its place: it most likely still serves, and comes back by itself.
        for (uint32_t index = 0; fresh < d.replicas && places < most; ++index) {
            if (used.contains(index)) continue;
            actions_.push_back(CreateInstance{d.id, index, d.generation, d.version});
            ++fresh;
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
        const size_t wanted = instances_wanted(d);
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
            if (reverted_.contains(instance.deployment_id)) continue;
            if (!room) room.emplace(room_left_by_deleted());
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
                continue;
            }
            if (!input_.knowledge.reading.contains(deployment->second->source)) homeless_.insert(instance.id);
            if (decision.reason != instance.reason) {
                actions_.push_back(ExplainInstance{instance.id, std::move(decision.reason)});
            }
        }
    }

    // What this plan deletes is gone, and its room is there for those who wait.
    placement::Room room_left_by_deleted() const {
        placement::Room room(snapshot_);
        for (const Instance& i : snapshot_.instances) {
            if (deleted_.contains(i.id)) room.release(i.placement);
        }
        return room;
    }

    const PlanInput& input_;
    const Snapshot& snapshot_;
    std::unordered_map<WorkerId, const Worker*> workers_;
    ByDeployment instances_;
    std::set<InstanceId> stopped_;   // by this plan
    std::set<InstanceId> deleted_;   // by this plan
    std::set<InstanceId> homeless_;  // found no room in this plan; not those whose model is still being read
    std::set<DeploymentId> reverted_;   // by this plan
    std::vector<Action> actions_;
};

}  // namespace

std::vector<Action> plan(const PlanInput& input) { return Planner(input).run(); }

}  // namespace gantry::control
