// /api/v1/routes
#include <fmt/format.h>

#include "control/api/api.h"
#include "control/api/lookup.h"
#include "protocol/management/objects.h"

namespace gantry::control {
namespace {

namespace management = protocol::management;

bool has_model(const Provider& provider, const std::string& name) {
    return std::any_of(provider.models.begin(), provider.models.end(), [&](const std::string& model) { return model_name(provider, model) == name; });
}

// A typing error must not become a route that answers nobody. Later a model may go: then it gets nothing.
Status check_targets(ApiContext& api, const management::RouteInput& input) {
    const auto there = [&api](const std::string& name, const std::string& param) -> Status {
        const auto found = api.store.deployment_by_name(name);
        if (found) return Ok{};
        if (found.error().code != ErrorCode::kNotFound) return found.error();
        const auto provider = api.store.provider_by_name(name.substr(0, name.find('/')));
        if (provider && has_model(*provider, name)) return Ok{};
        if (!provider && provider.error().code != ErrorCode::kNotFound) return provider.error();
        return invalid_argument(fmt::format("there is no deployment, and no model of a provider, named \"{}\"", log::escape(name, 128)), param);
    };
    for (size_t i = 0; input.targets && i < input.targets->size(); ++i) {
        GANTRY_TRY(there((*input.targets)[i].model, fmt::format("targets[{}].model", i)));
    }
    if (input.fallback && !input.fallback->empty()) GANTRY_TRY(there(*input.fallback, "fallback"));
    return Ok{};
}

Result<Answer> list(ApiContext& api, const Call& call) {
    const auto page = page_request(call.request);
    if (!page) return page.error();
    const auto rows = api.store.routes(*page);
    if (!rows) return rows.error();
    return list_answer(*rows, [](const Route& r) { return management::to_json(r); });
}

Result<Answer> get(ApiContext& api, const Call& call) {
    const auto route = find_route(api.store, call.param("id"));
    if (!route) return route.error();
    return json_answer(200, management::to_json(*route));
}

Result<Answer> create(ApiContext& api, const Call& call) {
    const auto input = management::parse_route_create(call.request.body);
    if (!input) return input.error();
    GANTRY_TRY(check_targets(api, *input));
    Route route;
    route.id = new_id<RouteId>(api.random, "rte");
    input->apply_to(route);
    route.created_at = route.updated_at = api.clock.wall();
    GANTRY_TRY(api.store.create_route(route));
    api.changed();
    return json_answer(201, management::to_json(route));
}

Result<Answer> patch(ApiContext& api, const Call& call) {
    const auto input = management::parse_route_patch(call.request.body);
    if (!input) return input.error();
    GANTRY_TRY(check_targets(api, *input));
    const auto edited = edit(
        input->version, +[](const Route& r) { return r.version; }, [&] { return find_route(api.store, call.param("id")); },
        [&](Route& r, int64_t seen) -> Status {
            input->apply_to(r);
            ++r.version;
            r.updated_at = api.clock.wall();
            return api.store.update_route(r, seen);
        });
    if (!edited) return edited.error();
    api.changed();
    return json_answer(200, management::to_json(*edited));
}

Result<Answer> remove(ApiContext& api, const Call& call) {
    const auto route = find_route(api.store, call.param("id"));
    if (!route) return route.error();
    GANTRY_TRY(api.store.delete_route(route->id));
    api.changed();
    return no_content();
}

}  // namespace

// {id...}: a name may hold slashes, sent as %2F.
void add_route_routes(http::Router& router, ApiContext& api) {
    add_routes(router, api,
               {{"GET", "/api/v1/routes", gateway::kUser, list},
                {"POST", "/api/v1/routes", gateway::kAdmin, create},
                {"GET", "/api/v1/routes/{id...}", gateway::kUser, get},
                {"PATCH", "/api/v1/routes/{id...}", gateway::kAdmin, patch},
                {"DELETE", "/api/v1/routes/{id...}", gateway::kAdmin, remove}});
}

}  // namespace gantry::control
