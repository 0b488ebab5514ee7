// /api/v1/workers
#include <fmt/format.h>

#include <algorithm>

#include "control/api/api.h"
#include "control/api/lookup.h"
#include "control/edits.h"
#include "protocol/management/objects.h"

namespace gantry::control {
namespace {

namespace management = protocol::management;

Result<Answer> list(ApiContext& api, const Call& call) {
    const auto page = page_request(call.request);
    if (!page) return page.error();
    const auto rows = api.store.workers(*page);
    if (!rows) return rows.error();
    return list_answer(*rows, [&](Worker w) {
        api.observed.overlay(w);
        return management::to_json(w);
    });
}

Result<Answer> get(ApiContext& api, const Call& call) {
    const auto w = find_worker(api, call.param("id"));
    if (!w) return w.error();
    return json_answer(200, management::to_json(*w));
}

Error name_taken(const std::string& name) {
    return conflict(fmt::format("there is a worker named \"{}\" already: take another name", name));
}

bool name_is_taken(const ApiContext& api, const std::string& name, const WorkerId& by_other_than) {
    const auto rows = api.publisher.rows();
    return std::any_of(rows->workers.begin(), rows->workers.end(),
                       [&](const Worker& w) { return w.name == name && w.id != by_other_than; });
}

Result<Answer> create(ApiContext& api, const Call& call) {
    const auto input = management::parse_worker_create(call.request.body);
    if (!input) return input.error();
    Worker w;
    w.id = new_id<WorkerId>(api.random, "wrk");
    w.name = *input->name;
    w.address = input->address.value_or("");
    w.cordoned = input->cordoned.value_or(false);
    w.labels = input->labels.value_or(std::map<std::string, std::string>{});
    w.created_at = api.clock.wall();
    if (name_is_taken(api, w.name, w.id)) return name_taken(w.name);
    GANTRY_TRY(api.store.create_worker(w));
    api.changed();
    return json_answer(201, management::to_json(w));
}

Result<Answer> patch(ApiContext& api, const Call& call) {
    const auto input = management::parse_worker_patch(call.request.body);
    if (!input) return input.error();
    auto edited = edit(
        input->version, +[](const Worker& w) { return w.version_number; },
        [&] { return find_worker(api, call.param("id")); },
        [&](Worker& w, int64_t seen) -> Status {
            if (input->name) w.name = *input->name;
            if (input->cordoned) w.cordoned = *input->cordoned;
            if (input->drain_seconds) drain(w, std::chrono::seconds(*input->drain_seconds), api.clock.wall());
            if (!w.cordoned) w.drain_by.reset();
            if (input->labels) w.labels = *input->labels;
            if (name_is_taken(api, w.name, w.id)) return name_taken(w.name);
            ++w.version_number;
            return api.store.update_worker(w, seen);
        });
    if (!edited) return edited.error();
    api.observed.overlay(*edited);
    api.changed();
    return json_answer(200, management::to_json(*edited));
}

Result<Answer> remove(ApiContext& api, const Call& call) {
    const auto w = find_worker(api, call.param("id"));
    if (!w) return w.error();
    GANTRY_TRY(check_removable(*w, *api.publisher.rows()));
    GANTRY_TRY(api.store.delete_worker(w->id));
    api.changed();
    return no_content();
}

}  // namespace

void add_worker_routes(http::Router& router, ApiContext& api) {
    add_routes(router, api,
               {{"GET", "/api/v1/workers", gateway::kUser, list},
                {"POST", "/api/v1/workers", gateway::kAdmin, create},
                {"GET", "/api/v1/workers/{id}", gateway::kUser, get},
                {"PATCH", "/api/v1/workers/{id}", gateway::kAdmin, patch},
                {"DELETE", "/api/v1/workers/{id}", gateway::kAdmin, remove}});
}

}  // namespace gantry::control
