// /api/v1/models
#include <fmt/format.h>

#include "control/api/api.h"
#include "control/api/lookup.h"
#include "protocol/management/objects.h"

namespace gantry::control {
namespace {

namespace management = protocol::management;

json::object shown(Model m, bool admin) {
    if (!admin) management::hide_from_users(m);
    return management::to_json(m);
}

Result<Answer> list(ApiContext& api, const Call& call) {
    const auto page = page_request(call.request);
    if (!page) return page.error();
    const auto rows = api.store.models(*page);
    if (!rows) return rows.error();
    return list_answer(*rows, [&](const Model& m) { return shown(m, call.admin()); });
}

Result<Answer> get(ApiContext& api, const Call& call) {
    const auto m = find_model(api.store, call.param("id"));
    if (!m) return m.error();
    return json_answer(200, shown(*m, call.admin()));
}

Result<Answer> create(ApiContext& api, const Call& call) {
    const auto input = management::parse_model_create(call.request.body);
    if (!input) return input.error();
    const auto source = parse_source(*input->source);
    if (!source) return source.error();
    GANTRY_TRY(check_source(api, *input->source));
    auto meta = api.knowledge.look(*input->source);
    if (!meta) {
        if (source->from_hub()) return meta.error();
        // Whatever is wrong with the file, it is the request that named it.
        Error error = std::move(meta).error();
        if (error.code != ErrorCode::kStorageFull) error.code = ErrorCode::kInvalidArgument;
        error.param = "source";
        error.reason = "invalid_model_file";
        return error;
    }
    Model m;
    m.id = new_id<ModelId>(api.random, "mdl");
    m.name = input->name.value_or(model_name_of(*source));
    m.source = *input->source;
    m.path = source->path;
    m.meta = *std::move(meta);
    m.created_at = m.updated_at = api.clock.wall();
    if (Status status = api.store.create_model(m); !status) {
        if (status.error().code != ErrorCode::kConflict) return status.error();
        return conflict(fmt::format("there is a model named \"{}\", or one of this source, already", m.name));
    }
    api.changed();
    return json_answer(201, shown(m, true));
}

Result<Answer> patch(ApiContext& api, const Call& call) {
    const auto input = management::parse_model_patch(call.request.body);
    if (!input) return input.error();
    const auto edited = edit(
        input->version, +[](const Model& m) { return m.version; },
        [&] { return find_model(api.store, call.param("id")); },
        [&](Model& m, int64_t seen) -> Status {
            if (input->name && *input->name != m.name) {
                if (api.store.model_by_name(*input->name)) {
                    return conflict(fmt::format("there is a model named \"{}\" already", *input->name));
                }
                m.name = *input->name;
            }
            ++m.version;
            m.updated_at = api.clock.wall();
            return api.store.update_model(m, seen);
        });
    if (!edited) return edited.error();
    api.changed();
    return json_answer(200, shown(*edited, true));
}

Result<Answer> remove(ApiContext& api, const Call& call) {
    const auto m = find_model(api.store, call.param("id"));
    if (!m) return m.error();
    GANTRY_TRY(api.store.delete_model(m->id));
    api.changed();
    return no_content();
}

}  // namespace

// {id...}: a name may hold slashes, sent as %2F.
void add_model_routes(http::Router& router, ApiContext& api) {
    add_routes(router, api,
               {{"GET", "/api/v1/models", gateway::kUser, list},
                {"POST", "/api/v1/models", gateway::kAdmin, create},
                {"GET", "/api/v1/models/{id...}", gateway::kUser, get},
                {"PATCH", "/api/v1/models/{id...}", gateway::kAdmin, patch},
                {"DELETE", "/api/v1/models/{id...}", gateway::kAdmin, remove}});
}

}  // namespace gantry::control
