// /api/v1/join-tokens: what machines join with. Admins only.
#include <fmt/format.h>

#include "control/api/api.h"
#include "control/cluster/joining.h"
#include "protocol/management/objects.h"

namespace gantry::control {
namespace {

namespace management = protocol::management;

constexpr std::chrono::hours kShownAfterExpiry{30 * 24};

Result<Answer> list(ApiContext& api, const Call& call) {
    const auto page = page_request(call.request);
    if (!page) return page.error();
    const auto rows = api.store.join_tokens(*page);
    if (!rows) return rows.error();
    const WallTime now = api.clock.wall();
    return list_answer(*rows, [now](const JoinToken& token) { return management::to_json(token, now); });
}

Result<Answer> create(ApiContext& api, const Call& call) {
    const auto input = management::parse_join_token_create(call.request.body);
    if (!input) return input.error();
    const WallTime now = api.clock.wall();
    GANTRY_TRY(api.store.delete_join_tokens_before(now - kShownAfterExpiry));
    NewJoinToken made = make_join_token(*api.authority, api.random);
    made.row.name = input->name;
    made.row.uses = made.row.uses_left = input->uses;
    made.row.created_at = now;
    made.row.expires_at = now + input->lasts;
    GANTRY_TRY(api.store.create_join_token(made.row));
    log::info("join token {} made by {}", made.row.id.text, call.who->user_name);
    json::object body = management::to_json(made.row, now);
    body["secret"] = made.text;
    return json_answer(201, body);
}

Result<Answer> revoke(ApiContext& api, const Call& call) {
    const JoinTokenId id(call.param("id"));
    GANTRY_TRY(api.store.revoke_join_token(id));
    log::info("join token {} revoked by {}", id.text, call.who->user_name);
    return no_content();
}

}  // namespace

void add_join_token_routes(http::Router& router, ApiContext& api) {
    add_routes(router, api,
               {{"GET", "/api/v1/join-tokens", gateway::kAdmin, list},
                {"POST", "/api/v1/join-tokens", gateway::kAdmin, create},
                {"DELETE", "/api/v1/join-tokens/{id}", gateway::kAdmin, revoke}});
}

}  // namespace gantry::control
