// /api/v1/auth: login, logout, who am I, the own password.
#include <fmt/format.h>

#include "base/log.h"
#include "base/metrics.h"
#include "control/api/api.h"
#include "control/auth/first_admin.h"
#include "control/auth/oidc_attempt.h"
#include "control/auth/sessions.h"
#include "gateway/api_key.h"
#include "protocol/management/objects.h"
#include "protocol/oidc/documents.h"

namespace gantry::control {
namespace {

namespace management = protocol::management;

Answer wait_first(std::chrono::seconds wait) {
    Answer answer = error_answer({ErrorCode::kRateLimited,
                                  fmt::format("too many failed attempts: try again in {} s", wait.count()), {}, {}});
    answer.headers.set("retry-after", std::to_string(wait.count()));
    return answer;
}

Result<Answer> with_new_session(ApiContext& api, const Call& call, const User& user, Answer answer) {
    auto cookie = open_session(api, call.request, user, kSessionLasts);
    if (!cookie) return std::move(cookie).error();
    answer.headers.set("set-cookie", *std::move(cookie));
    return answer;
}

Result<Answer> login(ApiContext& api, const Call& call) {
    static auto& failures = metrics::counter("gantry_login_failures_total", "Logins refused for name or password");
    const auto input = management::parse_login(call.request.body);
    if (!input) return input.error();
    if (const auto wait = api.throttle.admit(input->name, call.request.peer)) return wait_first(*wait);
    const auto user = api.store.user_by_name(input->name);
    if (!user && user.error().code != ErrorCode::kNotFound) return user.error();
    // One text and one time, whether the name or the password is wrong or the user is disabled.
    const bool fits = verify_password(user ? user->password_hash : nobodys_hash(), input->password);
    if (!user || !fits || user->disabled) {
        failures.Increment();
        log::warn("a login as \"{}\" from {} failed", log::escape(input->name, 64), call.request.peer);
        return Error{ErrorCode::kUnauthenticated, "the name or the password is wrong", {}, "invalid_login"};
    }
    api.throttle.succeeded(input->name, call.request.peer);
    log::info("{} logged in from {}", user->name, call.request.peer);
    return with_new_session(api, call, *user, json_answer(200, management::to_json(*user)));
}

Result<Answer> logout(ApiContext& api, const Call& call) {
    if (const std::string token = session_token(call.request); !token.empty()) {
        const Status ended = api.store.delete_session(gateway::digest(token));
        if (!ended && ended.error().code != ErrorCode::kNotFound) return ended.error();
        GANTRY_TRY(api.auth_changed());
    }
    Answer answer = no_content();
    answer.headers.set("set-cookie", ended_cookie(call.request.tls));
    return answer;
}

Result<Answer> me(ApiContext& api, const Call& call) {
    const auto user = api.store.user(call.who->user_id);
    if (!user) return user.error();
    return json_answer(200, management::to_json(*user));
}

Result<Answer> change_password(ApiContext& api, const Call& call) {
    const auto input = management::parse_password(call.request.body);
    if (!input) return input.error();
    const auto user = api.store.user(call.who->user_id);
    if (!user) return user.error();
    if (const auto wait = api.throttle.admit(user->name, call.request.peer)) return wait_first(*wait);
    if (!verify_password(user->password_hash, input->current_password)) {
        return invalid_argument("the current password is wrong", "current_password", "wrong_password");
    }
    api.throttle.succeeded(user->name, call.request.peer);
    if (input->new_password == input->current_password) {
        return invalid_argument("the new password is the current one", "new_password");
    }
    auto hash = hash_password(input->new_password);
    if (!hash) return hash.error();
    const auto edited = edit(
        std::nullopt, +[](const User& u) { return u.version; }, [&] { return api.store.user(call.who->user_id); },
        [&](User& u, int64_t seen) -> Status {
            u.password_hash = *hash;
            u.must_change_password = false;
            ++u.version;
            u.updated_at = api.clock.wall();
            return api.store.update_user(u, seen);
        });
    if (!edited) return edited.error();
    log::info("{} changed the own password", edited->name);
    const Status ended = api.store.delete_sessions_of(edited->id);
    forget_initial_password(api.store, api.options.data_dir, edited->id);
    GANTRY_TRY(api.auth_changed());
    if (!ended) return ended.error();
    // The session this came by ended with the others; its owner goes on in a new one.
    if (call.who->by_cookie) return with_new_session(api, call, *edited, no_content());
    return no_content();
}

// What a page of logins needs to know before anybody has logged in.
Result<Answer> login_config(ApiContext& api, const Call&) {
    const OidcOptions& oidc = api.options.oidc;
    const std::string url = oidc.on() ? std::string(kOidcPath) + "/login" : std::string();
    return Answer{200, protocol::oidc::login_config_json(url, oidc.issuer), {}};
}

}  // namespace

Result<std::string> open_session(ApiContext& api, const http::Request& request, const User& user, std::chrono::hours lasts) {
    const NewSession session = make_session(user.id, api.clock.wall(), lasts, api.random);
    if (const std::string old = session_token(request); !old.empty()) {
        const Status ended = api.store.delete_session(gateway::digest(old));
        if (!ended && ended.error().code != ErrorCode::kNotFound) return ended.error();
    }
    GANTRY_TRY(api.store.create_session(session.row));
    GANTRY_TRY(api.auth_changed());
    return session_cookie(session.token, lasts, request.tls);
}

void add_auth_routes(http::Router& router, ApiContext& api) {
    add_routes(router, api,
               {{"POST", "/api/v1/auth/login", gateway::kPublic, login, true},
                {"POST", "/api/v1/auth/logout", gateway::kOwnPassword, logout},
                {"GET", "/api/v1/auth/config", gateway::kPublic, login_config},
                {"GET", "/api/v1/auth/me", gateway::kOwnPassword, me},
                {"POST", "/api/v1/auth/password", gateway::kOwnPassword, change_password, true}});
}

}  // namespace gantry::control
