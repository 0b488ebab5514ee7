// /api/v1/deployments
#include <fmt/format.h>

#include "backends/backends.h"
#include "base/log.h"
#include "control/api/api.h"
#include "control/api/evaluate.h"
#include "control/api/lookup.h"
#include "control/edits.h"
#include "control/sleep_plan.h"
#include "control/status.h"
#include "protocol/management/objects.h"

namespace gantry::control {
namespace {

namespace management = protocol::management;

json::object shown(const ApiContext& api, Deployment d, bool admin) {
    std::vector<const Instance*> own;
    const auto view = api.publisher.view();
    for (const Instance& i : view->instances) {
        if (i.deployment_id == d.id) own.push_back(&i);
    }
    auto status = deployment_status(d, own);
    if (!admin) {
        management::hide_from_users(d);
        management::hide_from_users(status);
    }
    return management::to_json(d, status);
}

// What is wrong with the options wherever they run. Whether the program is there differs by worker, and is each one's to say.
Status check_options(const Deployment& d) {
    const Status valid = backends::backend(d.backend).validate(d.options);
    return !valid && valid.error().reason == "backend_missing" ? Status(Ok{}) : valid;
}

Status check_rollout(const Deployment& d) {
    if (d.rollout.max_surge > 0 || d.rollout.max_unavailable > 0) return Ok{};
    return invalid_argument("\"rollout\" allows neither a further instance nor a missing one, so nothing could ever be replaced: set "
                            "max_surge or max_unavailable to 1 or more", "rollout");
}

Result<Answer> list(ApiContext& api, const Call& call) {
    const auto page = page_request(call.request);
    if (!page) return page.error();
    const auto rows = api.store.deployments(*page);
    if (!rows) return rows.error();
    return list_answer(*rows, [&](const Deployment& d) { return shown(api, d, call.admin()); });
}

Result<Answer> get(ApiContext& api, const Call& call) {
    auto d = find_deployment(api.store, call.param("id"));
    if (!d) return d.error();
    return json_answer(200, shown(api, *std::move(d), call.admin()));
}

Result<Answer> create(ApiContext& api, const Call& call) {
    const auto input = management::parse_deployment_create(call.request.body);
    if (!input) return input.error();
    Deployment d;
    d.id = new_id<DeploymentId>(api.random, "dep");
    input->apply_to(d);
    d.created_at = d.updated_at = api.clock.wall();
    GANTRY_TRY(check_options(d));
    GANTRY_TRY(check_rollout(d));
    (void)settle_quantization(api, d, *api.publisher.view());
    if (d.backend != BackendKind::kCustom) GANTRY_TRY(check_source(api, d.source));
    std::optional<ModelChange> model = model_change_of(api, d.source);
    if (Status status = api.store.create_deployment(d); !status) {
        if (status.error().code != ErrorCode::kConflict || api.store.route_by_name(d.name)) return status.error();
        return conflict(fmt::format("there is a deployment named \"{}\" already: edit that one, or take another name", d.name));
    }
    log::info("{}: deployed by {}", d.name, call.who->user_name);
    if (model) carry_out(api, *std::move(model));
    api.changed();
    return json_answer(201, shown(api, d, true));
}

// What is open in a new source is settled as for a new deployment; what was settled so before stays, for who declares it again.
void settle_source(ApiContext& api, const Call& call, management::DeploymentInput& input) {
    auto d = find_deployment(api.store, call.param("id"));
    const auto wanted = parse_source(*input.source), is = d ? parse_source(d->source) : wanted;
    if (!d || !wanted || !is) return;   // the edit says so
    if (sources::is_offer_of(*wanted, *is)) {
        input.source = d->source;
        return;
    }
    input.apply_to(*d);
    if (settle_quantization(api, *d, *api.publisher.view())) input.source = d->source;
}

Result<Answer> patch(ApiContext& api, const Call& call) {
    auto input = management::parse_deployment_patch(call.request.body);
    if (!input) return input.error();
    if (input->source) settle_source(api, call, *input);
    if (input->source) GANTRY_TRY(check_source(api, *input->source));
    std::optional<ModelChange> model = input->source ? model_change_of(api, *input->source) : std::nullopt;
    auto edited = edit(
        input->version, +[](const Deployment& d) { return d.version; },
        [&] { return find_deployment(api.store, call.param("id")); },
        [&](Deployment& d, int64_t seen) -> Status {
            const Deployment before = d;
            input->apply_to(d);
            const bool other_options = before.backend != d.backend || before.options != d.options;
            if (other_options) GANTRY_TRY(check_options(d));   // an older one with bad options can still be stopped
            GANTRY_TRY(check_rollout(d));
            finish_edit(before, d, api.clock.wall());
            return api.store.update_deployment(d, seen);
        });
    if (!edited) return edited.error();
    if (model) carry_out(api, *std::move(model));
    const bool started = input->stopped && !*input->stopped;
    const bool never = input->idle_timeout_seconds && *input->idle_timeout_seconds == 0;
    if (edited->asleep_since && (started || never || sleeps_in_vain(*edited))) {
        GANTRY_TRY(api.sleep.wake(edited->id, "an edit by " + call.who->user_name));
        edited->asleep_since.reset();
    }
    api.changed();
    return json_answer(200, shown(api, *edited, true));
}

Result<Answer> revisions(ApiContext& api, const Call& call) {
    const auto d = find_deployment(api.store, call.param("id"));
    if (!d) return d.error();
    const auto rows = api.store.revisions(d->id);
    if (!rows) return rows.error();
    store::Page<Revision> all;   // there are never more than a page holds
    all.items = *rows;
    return list_answer(all, [&](Revision r) {
        if (!call.admin()) management::hide_from_users(r);
        return management::to_json(r, *d);
    });
}

// The revision to go back to: the one asked for, or the last good one that is not wanted now.
Result<Revision> rollback_target(const Deployment& d, std::vector<Revision> revisions, std::optional<int64_t> asked) {
    if (asked) {
        if (const Revision* const found = find_revision(revisions, d.id, *asked)) return *found;
        return not_found(fmt::format("\"{}\" has no revision {} (any more); GET .../revisions lists those that there are", d.name, *asked),
                         "revision_not_found");
    }
    std::erase_if(revisions, [&d](const Revision& r) { return r.generation == d.generation; });
    const Revision* const good = last_good(revisions, d.id);
    if (good == nullptr) return conflict(fmt::format("no other revision of \"{}\" ever served: name the one to go back to", d.name));
    return *good;
}

Result<Answer> rollback(ApiContext& api, const Call& call) {
    const auto input = management::parse_rollback(call.request.body);
    if (!input) return input.error();
    const auto edited = edit(
        std::nullopt, +[](const Deployment& d) { return d.version; },
        [&] { return find_deployment(api.store, call.param("id")); },
        [&](Deployment& d, int64_t seen) -> Status {
            const auto rows = api.store.revisions(d.id);
            if (!rows) return rows.error();
            const auto target = rollback_target(d, *rows, input->revision);
            if (!target) return target.error();
            roll_back(d, *target, api.clock.wall());
            return api.store.update_deployment(d, seen);
        });
    if (!edited) return edited.error();
    log::info("{}: rolled back to revision {} by {}", edited->name, edited->generation, call.who->user_name);
    api.changed();
    return json_answer(200, shown(api, *edited, true));
}

Result<Answer> sleep(ApiContext& api, const Call& call) {
    auto d = find_deployment(api.store, call.param("id"));
    if (!d) return d.error();
    if (!d->asleep_since) {
        const auto closed = api.sleep.put_to_sleep(*d, call.who->user_name);
        if (!closed) return closed.error();
        api.changed();
        GANTRY_TRY(api.once_stored([&api, door = *closed]() -> Status {
            door->stored();
            api.reconciler.notify();   // again: the round that the change began may be over, and only the next one opens it
            return Ok{};
        }));
        d = find_deployment(api.store, call.param("id"));
        if (!d) return d.error();
    }
    return json_answer(200, shown(api, *std::move(d), true));
}

Result<Answer> remove(ApiContext& api, const Call& call) {
    const auto d = find_deployment(api.store, call.param("id"));
    if (!d) return d.error();
    GANTRY_TRY(api.store.delete_deployment(d->id));
    log::info("{}: deleted by {}", d->name, call.who->user_name);
    api.changed();
    return no_content();
}

}  // namespace

// {id...}: a name may hold slashes, sent as %2F. Below a deployment such a one goes by its id.
void add_deployment_routes(http::Router& router, ApiContext& api) {
    add_routes(router, api,
               {{"GET", "/api/v1/deployments", gateway::kUser, list},
                {"POST", "/api/v1/deployments", gateway::kAdmin, create},
                {"GET", "/api/v1/deployments/{id...}", gateway::kUser, get},
                {"PATCH", "/api/v1/deployments/{id...}", gateway::kAdmin, patch},
                {"DELETE", "/api/v1/deployments/{id...}", gateway::kAdmin, remove},
                {"GET", "/api/v1/deployments/{id}/revisions", gateway::kUser, revisions},
                {"POST", "/api/v1/deployments/{id}/rollback", gateway::kAdmin, rollback},
                {"POST", "/api/v1/deployments/{id}/sleep", gateway::kAdmin, sleep}});
}

}  // namespace gantry::control
