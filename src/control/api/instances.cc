// /api/v1/instances; their logs are in logs.cc.
#include "base/log.h"
#include "control/api/api.h"
#include "control/api/evaluate.h"
#include "control/api/lookup.h"
#include "protocol/management/objects.h"

namespace gantry::control {
namespace {

json::object shown(const ApiContext& api, Instance i, bool admin) {
    api.observed.overlay(i);
    if (!admin) protocol::management::hide_from_users(i);
    std::string deployment;
    protocol::management::WorkerNames workers;
    const auto view = api.publisher.view();
    for (const Deployment& d : view->deployments) {
        if (d.id == i.deployment_id) deployment = d.name;
    }
    for (const Worker& w : view->workers) {
        if (i.is_on(w.id)) workers[w.id] = w.name;
    }
    return protocol::management::to_json(i, deployment, workers);
}

Result<Answer> list(ApiContext& api, const Call& call) {
    const auto page = page_request(call.request);
    if (!page) return page.error();
    DeploymentId of;
    if (const std::string wanted(call.request.query_value("deployment")); !wanted.empty()) {
        const auto d = find_deployment(api.store, wanted);
        if (!d) return d.error();
        of = d->id;
    }
    const auto rows = api.store.instances(*page, of);
    if (!rows) return rows.error();
    return list_answer(*rows, [&](const Instance& i) { return shown(api, i, call.admin()); });
}

Result<Answer> get(ApiContext& api, const Call& call) {
    auto i = api.store.instance(InstanceId(call.param("id")));
    if (!i) return i.error();
    return json_answer(200, shown(api, *std::move(i), call.admin()));
}

Result<Answer> events(ApiContext& api, const Call& call) {
    const InstanceId id(call.param("id"));
    auto found = api.store.instance_events(id);
    if (!found) return found.error();
    auto now = api.store.instance(id);
    if (!now) return now.error();
    api.observed.overlay(*now);
    store::Page<InstanceEvent> page;
    page.items = *std::move(found);
    // Watchers are told before it is stored, and may ask at once.
    InstanceEvent& last = page.items.back();
    if (last.state != now->state || last.restarts != now->restarts) {
        page.items.push_back({now->state_since, now->state, now->reason, now->restarts});
    } else {
        last.reason = now->reason;
    }
    return list_answer(page, [&](InstanceEvent event) {
        if (!call.admin()) protocol::management::hide_from_users(event);
        return protocol::management::to_json(event);
    });
}

// Why it is where it is; of one that waits for a place, why it does.
Result<Answer> decision(ApiContext& api, const Call& call) {
    const auto i = api.store.instance(InstanceId(call.param("id")));
    if (!i) return i.error();
    if (!i->worker_id.empty()) {
        const auto kept = api.store.instance_decision(i->id);
        if (!kept) return kept.error();
        if (kept->empty()) return not_found("it was placed by an older gantry, which kept no decisions");
        const auto value = parse_json(*kept);
        if (!value) return value.error();
        return json_answer(200, *value);
    }
    const auto d = api.store.deployment(i->deployment_id);
    if (!d) return d.error();
    return json_answer(200, protocol::management::to_json_kept(evaluate(api, *d, *api.publisher.view()).decision));
}

// A restart: this one stops, and the reconciler makes another.
Result<Answer> remove(ApiContext& api, const Call& call) {
    const auto i = api.store.instance(InstanceId(call.param("id")));
    if (!i) return i.error();
    if (!i->stopping) GANTRY_TRY(api.store.mark_instance_stopping(i->id, api.clock.wall()));
    log::info("{}: restarted by {}", i->id.text, call.who->user_name);
    api.changed();
    return no_content();
}

}  // namespace

void add_instance_routes(http::Router& router, ApiContext& api) {
    add_routes(router, api,
               {{"GET", "/api/v1/instances", gateway::kUser, list},
                {"GET", "/api/v1/instances/{id}", gateway::kUser, get},
                {"GET", "/api/v1/instances/{id}/events", gateway::kUser, events},
                {"GET", "/api/v1/instances/{id}/decision", gateway::kAdmin, decision},
                {"DELETE", "/api/v1/instances/{id}", gateway::kAdmin, remove}});
}

}  // namespace gantry::control
