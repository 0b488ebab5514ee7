// /api/v1/users. Users see themselves only; others are 404 to them.
#include <fmt/format.h>

#include "base/log.h"
#include "control/api/api.h"
#include "control/api/lookup.h"
#include "control/auth/first_admin.h"
#include "protocol/management/objects.h"

namespace gantry::control {
namespace {

namespace management = protocol::management;

// The file of the first password goes once that one is worth nothing.
Status forget_initial(ApiContext& api, const UserId& user) {
    return api.once_stored([&api, user]() -> Status {
        forget_initial_password(api.store, api.options.data_dir, user);
        return Ok{};
    });
}

Result<Answer> list(ApiContext& api, const Call& call) {
    const auto page = page_request(call.request);
    if (!page) return page.error();
    if (!call.admin()) {
        const auto self = api.store.user(call.who->user_id);
        if (!self) return self.error();
        store::Page<User> own;
        if (self->name.find(page->name_contains) != std::string::npos) own.items.push_back(*self);
        return list_answer(own, [](const User& u) { return management::to_json(u); });
    }
    const auto rows = api.store.users(*page);
    if (!rows) return rows.error();
    return list_answer(*rows, [](const User& u) { return management::to_json(u); });
}

Result<Answer> get(ApiContext& api, const Call& call) {
    const auto u = find_user(api.store, call.param("id"));
    // The same answer for another's as for nobody's.
    if (!u || (!call.admin() && u->id != call.who->user_id)) {
        if (!u && u.error().code != ErrorCode::kNotFound) return u.error();
        return not_found(fmt::format("there is no user \"{}\"", log::escape(call.param("id"), 128)));
    }
    return json_answer(200, management::to_json(*u));
}

Result<Answer> create(ApiContext& api, const Call& call) {
    const auto input = management::parse_user_create(call.request.body);
    if (!input) return input.error();
    User u;
    u.id = new_id<UserId>(api.random, "usr");
    u.name = *input->name;
    u.role = *input->role;
    u.must_change_password = input->must_change_password.value_or(false);
    input->limits.apply_to(u.limits);
    if (input->models) u.models = *input->models;
    u.created_at = u.updated_at = api.clock.wall();
    auto hash = hash_password(*input->password);
    if (!hash) return hash.error();
    u.password_hash = *std::move(hash);
    if (Status status = api.store.create_user(u); !status) {
        if (status.error().code != ErrorCode::kConflict) return status.error();
        return conflict(fmt::format("there is a user named \"{}\" already: take another name", u.name));
    }
    log::info("user {} ({}) made by {}", u.name, to_string(u.role), call.who->user_name);
    GANTRY_TRY(api.auth_changed());
    return json_answer(201, management::to_json(u));
}

Result<Answer> patch(ApiContext& api, const Call& call) {
    const auto input = management::parse_user_patch(call.request.body);
    if (!input) return input.error();
    std::string hash;
    if (input->password) {
        auto hashed = hash_password(*input->password);
        if (!hashed) return hashed.error();
        hash = *std::move(hashed);
    }
    bool ends_sessions = false;
    const auto edited = edit(
        input->version, +[](const User& u) { return u.version; }, [&] { return find_user(api.store, call.param("id")); },
        [&](User& u, int64_t seen) -> Status {
            // What a session was opened with no longer holds.
            ends_sessions = !hash.empty() || input->disabled.value_or(false) || (input->role && *input->role != u.role);
            if (!hash.empty()) u.password_hash = hash;
            if (input->role) u.role = *input->role;
            if (input->disabled) u.disabled = *input->disabled;
            input->limits.apply_to(u.limits);
            if (input->models) u.models = *input->models;
            if (input->must_change_password) u.must_change_password = *input->must_change_password;
            ++u.version;
            u.updated_at = api.clock.wall();
            return api.store.update_user(u, seen);
        });
    if (!edited) return edited.error();
    log::info("user {} edited by {}", edited->name, call.who->user_name);
    const Status ended = ends_sessions ? api.store.delete_sessions_of(edited->id) : Status(Ok{});
    if (!ended) return ended.error();
    if (!hash.empty()) GANTRY_TRY(forget_initial(api, edited->id));
    GANTRY_TRY(api.auth_changed());
    return json_answer(200, management::to_json(*edited));
}

Result<Answer> remove(ApiContext& api, const Call& call) {
    const auto u = find_user(api.store, call.param("id"));
    if (!u) return u.error();
    GANTRY_TRY(api.store.delete_user(u->id));
    log::info("user {} deleted by {}", u->name, call.who->user_name);
    GANTRY_TRY(forget_initial(api, u->id));
    GANTRY_TRY(api.auth_changed());
    return no_content();
}

}  // namespace

void add_user_routes(http::Router& router, ApiContext& api) {
    add_routes(router, api,
               {{"GET", "/api/v1/users", gateway::kUser, list},
                {"POST", "/api/v1/users", gateway::kAdmin, create, true},
                {"GET", "/api/v1/users/{id}", gateway::kUser, get},
                {"PATCH", "/api/v1/users/{id}", gateway::kAdmin, patch, true},
                {"DELETE", "/api/v1/users/{id}", gateway::kAdmin, remove}});
}

}  // namespace gantry::control
