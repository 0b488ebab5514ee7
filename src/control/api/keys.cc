// /api/v1/keys. A user's own; an admin sees and edits all. Others' are 404.
#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "control/api/api.h"
#include "control/api/lookup.h"
#include "gateway/api_key.h"
#include "protocol/management/objects.h"

namespace gantry::control {
namespace {

namespace management = protocol::management;

json::object shown(const ApiContext& api, const ApiKey& key) {
    const auto table = api.tables.auth();
    const auto owner = table->users.find(key.user_id);
    return management::to_json(key, owner == table->users.end() ? "" : owner->second.name);
}

Result<ApiKey> find_own(ApiContext& api, const Call& call) {
    auto key = api.store.key(ApiKeyId(call.param("id")));
    if (!key && key.error().code != ErrorCode::kNotFound) return key;
    if (!key || (!call.admin() && key->user_id != call.who->user_id)) {
        return not_found(fmt::format("there is no key \"{}\"", log::escape(call.param("id"), 128)));
    }
    return key;
}

Error forbidden(std::string message, std::string param, std::string reason) {
    return Error{ErrorCode::kPermissionDenied, std::move(message), std::move(param), std::move(reason)};
}

// A key that opens only a part must not make itself, or another, open more.
Status check_caller(const Call& call) {
    if (call.admin() || call.who->key_id.empty()) return Ok{};
    const Allowance* own = call.who->allowance.get();
    const bool whole = call.who->scopes.all() && (own == nullptr || (!own->key.any() && own->key_models.empty()));
    if (whole) return Ok{};
    return forbidden("the key of this request has limits, so that it can neither make nor edit keys: use a key without, or log in",
                     {}, "restricted_key");
}

// Users set what they like for their own keys, within what an admin set for them. (It holds over all their keys in any case;
// saying so here spares them a key that never does what it says.)
Status check_within_owner(const Call& call, const User& owner, const management::KeyInput& input) {
    if (call.admin()) return Ok{};
    using Given = std::optional<std::optional<uint64_t>>;
    const auto within = [](const char* name, const Given& given, const std::optional<uint64_t>& own) -> Status {
        if (!given || !*given || !own || **given <= *own) return Ok{};
        return forbidden(fmt::format("\"limits.{}\" is over your own limit of {}", name, *own), fmt::format("limits.{}", name), {});
    };
    const Limits& own = owner.limits;
    GANTRY_TRY(within("requests_per_minute", input.limits.requests_per_minute, own.requests_per_minute));
    GANTRY_TRY(within("tokens_per_minute", input.limits.tokens_per_minute, own.tokens_per_minute));
    GANTRY_TRY(within("concurrent_requests", input.limits.concurrent_requests, own.concurrent_requests));
    GANTRY_TRY(within("tokens_per_month", input.limits.tokens_per_month, own.tokens_per_month));
    for (size_t i = 0; input.models && !owner.models.empty() && i < input.models->size(); ++i) {
        if (std::find(owner.models.begin(), owner.models.end(), (*input.models)[i]) != owner.models.end()) continue;
        return forbidden("this model is not among those that you may use", fmt::format("models[{}]", i), "model_not_allowed");
    }
    return Ok{};
}

Result<Answer> list(ApiContext& api, const Call& call) {
    const auto page = page_request(call.request);
    if (!page) return page.error();
    const auto rows = api.store.keys(*page, call.admin() ? UserId{} : call.who->user_id);
    if (!rows) return rows.error();
    return list_answer(*rows, [&](const ApiKey& k) { return shown(api, k); });
}

Result<Answer> get(ApiContext& api, const Call& call) {
    const auto key = find_own(api, call);
    if (!key) return key.error();
    return json_answer(200, shown(api, *key));
}

Result<Answer> create(ApiContext& api, const Call& call) {
    const auto input = management::parse_key_create(call.request.body);
    if (!input) return input.error();
    GANTRY_TRY(check_caller(call));
    ApiKey key;
    key.user_id = call.who->user_id;
    if (input->user_id && *input->user_id != call.who->user_id.text) {
        if (!call.admin()) {
            return Error{ErrorCode::kPermissionDenied, "only an admin may make keys for others", "user_id", {}};
        }
        const auto owner = find_user(api.store, *input->user_id);
        if (!owner) {
            return invalid_argument(fmt::format("there is no user \"{}\"", log::escape(*input->user_id, 128)), "user_id");
        }
        key.user_id = owner->id;
    }
    if (!call.admin()) {
        const auto self = api.store.user(call.who->user_id);
        if (!self) return self.error();
        GANTRY_TRY(check_within_owner(call, *self, *input));
    }
    const gateway::NewKey made = gateway::make_key(api.random);
    key.id = new_id<ApiKeyId>(api.random, "key");
    key.name = *input->name;
    key.public_id = made.public_id;
    key.secret_digest = made.secret_digest;
    key.expires_at = input->expires_at;
    input->limits.apply_to(key.limits);
    if (input->scopes) key.scopes = *input->scopes;
    if (input->models) key.models = *input->models;
    key.created_at = api.clock.wall();
    GANTRY_TRY(api.store.create_key(key));
    GANTRY_TRY(api.auth_changed());
    log::info("key {} made by {}", key.id.text, call.who->user_name);
    json::object body = shown(api, key);
    body["secret"] = made.text;
    return json_answer(201, body);
}

Result<Answer> patch(ApiContext& api, const Call& call) {
    const auto input = management::parse_key_patch(call.request.body);
    if (!input) return input.error();
    GANTRY_TRY(check_caller(call));
    const auto edited = edit(
        input->version, +[](const ApiKey& k) { return k.version; }, [&] { return find_own(api, call); },
        [&](ApiKey& k, int64_t seen) -> Status {
            const auto owner = api.store.user(k.user_id);
            if (!owner) return owner.error();
            GANTRY_TRY(check_within_owner(call, *owner, *input));
            input->limits.apply_to(k.limits);
            if (input->scopes) k.scopes = *input->scopes;
            if (input->models) k.models = *input->models;
            if (input->name) k.name = *input->name;
            if (input->disabled) k.disabled = *input->disabled;
            if (input->expires_at) k.expires_at = input->expires_at;
            if (input->never_expires) k.expires_at.reset();
            ++k.version;
            return api.store.update_key(k, seen);
        });
    if (!edited) return edited.error();
    log::info("key {} edited by {}", edited->id.text, call.who->user_name);
    GANTRY_TRY(api.auth_changed());
    return json_answer(200, shown(api, *edited));
}

Result<Answer> remove(ApiContext& api, const Call& call) {
    const auto key = find_own(api, call);
    if (!key) return key.error();
    GANTRY_TRY(api.store.delete_key(key->id));
    GANTRY_TRY(api.auth_changed());
    log::info("key {} deleted by {}", key->id.text, call.who->user_name);
    return no_content();
}

}  // namespace

void add_key_routes(http::Router& router, ApiContext& api) {
    add_routes(router, api,
               {{"GET", "/api/v1/keys", gateway::kUser, list},
                {"POST", "/api/v1/keys", gateway::kUser, create},
                {"GET", "/api/v1/keys/{id}", gateway::kUser, get},
                {"PATCH", "/api/v1/keys/{id}", gateway::kUser, patch},
                {"DELETE", "/api/v1/keys/{id}", gateway::kUser, remove}});
}

}  // namespace gantry::control
