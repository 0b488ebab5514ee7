#include "control/plan_apply.h"

#include <algorithm>

#include "base/json.h"
#include "base/log.h"
#include "protocol/management/objects.h"

namespace gantry::control {
namespace {

enum class Outcome { kDone, kOutdated };

struct Applier {
    store::Store& store;
    const Clock& clock;
    RandomSource& random;

    static Result<Outcome> outcome(const Status& status) {
        if (status) return Outcome::kDone;
        const ErrorCode code = status.error().code;
        if (code == ErrorCode::kNotFound || code == ErrorCode::kConflict) return Outcome::kOutdated;
        return status.error();
    }
    static Result<Outcome> failed(const Error& error) { return outcome(Status(error)); }

    Result<Outcome> operator()(const CreateInstance& action) {
        const Result<Deployment> d = store.deployment(action.deployment_id);
        if (!d) return failed(d.error());
        if (d->version != action.deployment_version) return Outcome::kOutdated;
        Instance i;
        i.id = new_id<InstanceId>(random, "ins");
        i.deployment_id = action.deployment_id;
        i.index = action.index;
        i.generation = action.generation;
        i.created_at = clock.wall();
        i.state = InstanceState::kPending;
        i.state_since = i.created_at;
        log::info("{}: instance {} ({}) is wanted", d->name, i.index, i.id.text);
        return outcome(store.create_instance(i));
    }

    Result<Outcome> operator()(const PlaceInstance& action) {
        const Result<Instance> i = store.instance(action.id);
        if (!i) return failed(i.error());
        const Placement& placement = *action.decision.placement;
        for (const DeviceClaim& claim : placement.claims) {
            const Result<Worker> w = store.worker(claim.worker_id);
            if (!w) return failed(w.error());
            if (w->cordoned) return Outcome::kOutdated;
        }
        if (i->stopping || !i->worker_id.empty()) return Outcome::kOutdated;
        log::info("{} is placed: {}", action.id.text, action.decision.reason);
        const std::string kept = json::serialize(protocol::management::to_json_kept(action.decision));
        return outcome(store.place_instance(action.id, placement, kept, clock.wall()));
    }

    Result<Outcome> operator()(const ExplainInstance& action) {
        const Result<Instance> i = store.instance(action.id);
        if (!i) return failed(i.error());
        if (i->stopping || !i->worker_id.empty()) return Outcome::kOutdated;
        log::warn("{}: {}", action.id.text, action.reason);
        return outcome(store.set_instance_reason(action.id, action.reason));
    }

    Result<Outcome> operator()(const StopInstance& action) {
        log::info("{} stops: {}", action.id.text, action.why);
        return outcome(store.mark_instance_stopping(action.id, clock.wall()));
    }

    Result<Outcome> operator()(const DeleteInstance& action) {
        const Result<Instance> i = store.instance(action.id);
        if (!i) return failed(i.error());
        if (!i->stopping) return Outcome::kOutdated;
        return outcome(store.delete_instance(action.id));
    }

    Result<Outcome> operator()(const FinishRollout& action) {
        const Result<Deployment> d = store.deployment(action.deployment_id);
        if (!d) return failed(d.error());
        if (d->generation != action.generation) return Outcome::kOutdated;
        log::info("{}: all replicas run revision {}", d->name, action.generation);
        return outcome(store.finish_rollout(action.deployment_id, action.generation, clock.wall()));
    }

    Result<Outcome> operator()(const RevertRollout& action) {
        Result<Deployment> d = store.deployment(action.deployment_id);
        if (!d) return failed(d.error());
        if (d->version != action.deployment_version) return Outcome::kOutdated;
        const Result<std::vector<Revision>> revisions = store.revisions(d->id);
        if (!revisions) return failed(revisions.error());
        const Revision* const back = find_revision(*revisions, d->id, action.to_generation);
        if (back == nullptr) return Outcome::kOutdated;
        take_revision(*d, *back);
        d->notice = action.why;
        ++d->version;
        d->updated_at = clock.wall();
        log::warn("{}: {}", d->name, action.why);
        return outcome(store.update_deployment(*d, action.deployment_version));
    }
};

}  // namespace

Applied apply(const std::vector<Action>& plan, store::Store& store, const Clock& clock, RandomSource& random) {
    Applied applied;
    Applier applier{store, clock, random};
    for (const Action& action : plan) {
        const Result<Outcome> outcome = std::visit(applier, action);
        if (!outcome) {
            applied.error = outcome.error();
            return applied;
        }
        *outcome == Outcome::kDone ? ++applied.done : ++applied.outdated;
    }
    return applied;
}

}  // namespace gantry::control
