// /api/v1/auth/oidc: logging in at an outside provider (OpenID Connect, authorization code with PKCE).
//
//   browser ── login ──> 302 to the provider, with a cookie ──> the person logs in there ──> 302 to callback, with a code
//   callback: cookie and state fit ── code for ID token ── signature and claims ── user ── session, 302 to where they wanted
#include <fmt/format.h>

#include "base/log.h"
#include "base/metrics.h"
#include "control/api/api.h"
#include "control/auth/oidc_attempt.h"
#include "control/auth/oidc_provider.h"
#include "control/auth/oidc_users.h"
#include "control/auth/sessions.h"

namespace gantry::control {
namespace {

constexpr int kExchangesMax = 32;          // with the provider at once
constexpr size_t kCodeBytesMax = 4096;

struct Oidc {
    explicit Oidc(ApiContext& context)
        : api(context), attempts(context.random, context.clock), provider(context.io, context.options.oidc, context.clock) {}
    ApiContext& api;
    OidcAttempts attempts;
    OidcProvider provider;
    int exchanges = 0;
};

void count(const char* outcome) {
    metrics::counter("gantry_oidc_logins_total", "Logins at the outside provider, by how they ended", {{"outcome", outcome}}).Increment();
}

std::string redirect_uri(const ApiContext& api, const http::Request& request) {
    std::string base = api.options.public_url;
    if (base.empty()) base = fmt::format("{}://{}", request.tls ? "https" : "http", request.headers.get("host"));
    return base + kOidcPath + "/callback";
}

// In the throttle. Nobody's name is known before the provider has said it; and an office behind one address may well log in at once.
std::string account(const OidcAttempt& attempt) { return "oidc " + attempt.state; }

http::Response redirect(std::string to) {
    http::Response response;
    response.status = 302;
    response.headers.set("location", std::move(to));
    response.headers.set("cache-control", "no-store");
    response.headers.set("referrer-policy", "no-referrer");   // the callback's URL holds a code
    return response;
}

http::Response refusal(const Error& error) {
    http::Response response = to_response(error_answer(error));
    response.headers.set("referrer-policy", "no-referrer");
    return response;
}

// The provider is not there, or not in time.
bool is_absent(const Error& error) { return error.code == ErrorCode::kUnavailable || error.code == ErrorCode::kDeadlineExceeded; }

Error not_set_up() { return not_found("logins at an outside provider are not set up here: see --oidc-issuer", "oidc_off"); }

http::Task<Result<http::Response>> begin(Oidc& oidc, const http::Request& request) {
    std::string next(request.query_value("next"));
    if (next.empty()) next = "/";
    if (!is_local_path(next)) {
        co_return invalid_argument("\"next\" must be a path of this server, such as /models, with at most 512 plain characters", "next");
    }
    const auto found = co_await oidc.provider.discovery();
    if (!found) co_return found.error();
    const OidcOptions& options = oidc.api.options.oidc;
    const OidcAttempt attempt = oidc.attempts.begin(next);
    const char joint = found->authorization_endpoint.find('?') == std::string::npos ? '?' : '&';
    http::Response response = redirect(found->authorization_endpoint + joint +
                                       form({{"response_type", "code"},
                                             {"client_id", options.client_id},
                                             {"redirect_uri", redirect_uri(oidc.api, request)},
                                             {"scope", options.scopes},
                                             {"state", attempt.state},
                                             {"nonce", attempt.nonce},
                                             {"code_challenge", attempt.challenge()},
                                             {"code_challenge_method", "S256"}}));
    for (std::string& ended : OidcAttempts::surplus(request)) response.headers.add("set-cookie", std::move(ended));
    response.headers.add("set-cookie", OidcAttempts::cookie(attempt, request.tls));
    co_return response;
}

// One line of the audit log. Strangers can make failed ones, so that those are held to what failed logins by password are.
void record(ApiContext& api, const http::Request& request, const OidcUser* who, int status, const std::string& why) {
    AuditEvent event;
    if (who == nullptr) {
        const FailedLogins::Turn turn = api.failed_logins.next();
        if (!turn.listed) return;
        event.changes.push_back({"reason", std::nullopt, why});
        if (turn.left_out > 0) event.changes.push_back({"failed_logins_not_listed", std::nullopt, std::to_string(turn.left_out)});
    } else {
        event.actor_id = who->user.id;
        event.actor_name = event.object_name = who->user.name;
        if (who->created) event.changes.push_back({"user", std::nullopt, "created"});
    }
    event.id = new_id<AuditEventId>(api.random, "aud");
    event.at = api.clock.wall();
    event.via = "oidc";
    event.peer = request.peer;
    event.method = request.method;
    event.action = "login";
    event.object_kind = "session";
    event.request_id = request.id;
    event.status = status;
    if (Status written = api.store.add_audit(event); !written) {
        log::error("audit: a login by oidc (request {}) can't be recorded: {}", request.id, written.error().message);
    }
}

// Blocking: the person becomes a user with a session; gives its cookie.
Result<std::string> admit(ApiContext& api, const http::Request& request, const Person& person) {
    const auto who = user_of(person, api.options.oidc, api.store, api.clock, api.random);
    if (!who) {
        record(api, request, nullptr, 403, who.error().reason.empty() ? "failed" : who.error().reason);
        return who.error();
    }
    if (who->created) log::info("oidc: the user {} was made at the first login", who->user.name);
    auto cookie = open_session(api, request, who->user, kOidcSessionLasts);
    if (!cookie) return cookie;
    log::info("{} logged in from {} by oidc", who->user.name, request.peer);
    record(api, request, &*who, 302, "");
    return cookie;
}

// Whoever the provider says it is; an error that may be shown.
http::Task<Result<Person>> identify(Oidc& oidc, const http::Request& request, const OidcAttempt& attempt) {
    const std::string code(request.query_value("code"));
    if (code.empty() || code.size() > kCodeBytesMax) co_return invalid_argument("the provider sent no code", "code");
    const std::string_view issuer = request.query_value("iss");   // RFC 9207: against mixing providers up
    if (!issuer.empty() && issuer != oidc.api.options.oidc.issuer) co_return invalid_argument("this answer is of another provider", "iss");
    const std::string back = redirect_uri(oidc.api, request);
    auto token = co_await oidc.provider.exchange(code, attempt.verifier, back);
    if (!token) co_return std::move(token).error();
    const auto claims = co_await oidc.provider.verify(*std::move(token), attempt.nonce);
    if (claims) co_return person_of(*claims, oidc.api.options.oidc);
    if (claims.error().reason != "oidc_token") co_return claims.error();
    log::warn("oidc: an ID token was refused (request {}): {}", request.id, claims.error().message);
    co_return Error{ErrorCode::kUnauthenticated, "what the provider sent is not a valid login; the server's log says why", {}, "oidc_token"};
}

http::Task<Result<http::Response>> finish(Oidc& oidc, const http::Request& request, const OidcAttempt& attempt) {
    ApiContext& api = oidc.api;
    if (const std::string_view said = request.query_value("error"); !said.empty()) {
        co_return Error{ErrorCode::kUnauthenticated, "the provider did not log you in: " + log::escape(said, 64), {}, "oidc_refused"};
    }
    if (oidc.exchanges >= kExchangesMax) co_return unavailable("too many log in at this moment; try again");
    if (const auto wait = api.throttle.admit(account(attempt), request.peer)) {
        co_return Error{ErrorCode::kRateLimited, fmt::format("too many failed attempts: try again in {} s", wait->count()), {}, {}};
    }
    struct Counted {
        int& count;
        explicit Counted(int& c) : count(c) { ++count; }
        ~Counted() { --count; }
    };
    const Counted counted(oidc.exchanges);
    const auto person = co_await identify(oidc, request, attempt);
    if (!person) {
        // The provider's own failures are nobody's guess.
        if (is_absent(person.error())) api.throttle.succeeded(account(attempt), request.peer);
        if (person.error().code == ErrorCode::kUnauthenticated) {
            co_await api.pool.run([&] {
                record(api, request, nullptr, 401, person.error().reason);
                return true;
            });
        }
        co_return person.error();
    }
    api.throttle.succeeded(account(attempt), request.peer);
    auto cookie = co_await api.pool.run([&] { return admit(api, request, *person); });
    if (!cookie) co_return std::move(cookie).error();
    http::Response response = redirect(attempt.next);
    response.headers.add("set-cookie", *std::move(cookie));
    co_return response;
}

// Both share in what they work with: a coroutine that waits for the provider may outlive the routes.
http::Task<void> serve_login(std::shared_ptr<Oidc> oidc, http::Exchange& exchange) {
    Result<http::Response> response = not_set_up();
    if (oidc->api.options.oidc.on()) response = co_await begin(*oidc, exchange.request());
    http::Response answer = response ? *std::move(response) : refusal(response.error());
    co_await exchange.respond(std::move(answer));
}

http::Task<void> serve_callback(std::shared_ptr<Oidc> oidc, http::Exchange& exchange) {
    const http::Request& request = exchange.request();
    Result<http::Response> response = not_set_up();
    std::optional<OidcAttempt> attempt;
    if (oidc->api.options.oidc.on()) {
        attempt = oidc->attempts.resume(request);
        if (attempt) {
            response = co_await finish(*oidc, request, *attempt);
        } else {
            response = invalid_argument("this login was not begun in this browser, or too long ago: begin anew", "state", "oidc_state");
        }
        count(response ? "ok" : is_absent(response.error()) ? "unavailable" : "refused");
    }
    http::Response answer = response ? *std::move(response) : refusal(response.error());
    // An attempt is for once.
    if (attempt) answer.headers.add("set-cookie", OidcAttempts::ended_cookie(*attempt, request.tls));
    co_await exchange.respond(std::move(answer));
}

}  // namespace

void add_oidc_routes(http::Router& router, ApiContext& api) {
    auto oidc = std::make_shared<Oidc>(api);   // shared by the two routes, which live as long as the router
    router.add({"GET", std::string(kOidcPath) + "/login", gateway::kPublic,
                [oidc](http::Exchange& exchange) { return serve_login(oidc, exchange); }});
    router.add({"GET", std::string(kOidcPath) + "/callback", gateway::kPublic,
                [oidc](http::Exchange& exchange) { return serve_callback(oidc, exchange); }});
}

}  // namespace gantry::control
