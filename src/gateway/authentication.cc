#include <sodium.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <map>

#include "base/ascii.h"
#include "base/assert.h"
#include "base/log.h"
#include "base/metrics.h"
#include "gateway/answers.h"
#include "gateway/api_key.h"
#include "gateway/gateway.h"
#include "gateway/throttle.h"

namespace gantry::gateway {
namespace {

using http::Exchange;
using http::Response;
using http::Task;

struct Refusals {
    prometheus::Counter& unauthenticated = counter("unauthenticated");
    prometheus::Counter& throttled = counter("throttled");
    prometheus::Counter& forbidden = counter("forbidden");
    prometheus::Counter& cross_site = counter("cross_site");

    static prometheus::Counter& counter(const char* reason) {
        return metrics::counter("gantry_gateway_refusals_total", "Requests refused by authentication, by reason.",
                                {{"reason", reason}});
    }
};

// Whom the last head that passed came from: its body is mostly here already, and then nothing has to be found out twice.
struct Passed {
    std::string request_id;
    const http::Route* route = nullptr;
    std::shared_ptr<const AuthTable> table;
    WallTime at{};
    Principal principal;
};

// The public id that a key names; empty: none that could be one.
std::string named_key(const http::Headers& headers) {
    std::string_view text = headers.get("authorization");
    if (const size_t space = text.find(' '); space != std::string_view::npos) text.remove_prefix(space + 1);
    if (text.empty()) text = headers.get("x-api-key");
    return std::string(split_key(text).public_id);
}

// Whom keys were found to be of in the current table, so that a digest is made once and not with each request. A key itself is not
// kept but a tag of it, which only this process can make; and all is forgotten when the table is another: a key that is revoked, or whose
// user is, is looked up again with the next request.
class KnownKeys {
public:
    KnownKeys() { randombytes_buf(secret_.data(), secret_.size()); }

    Result<Principal> authenticate(const std::shared_ptr<const AuthTable>& table, const http::Request& request, WallTime now) {
        const http::Headers& headers = request.headers;
        const bool by_one_key = headers.count("authorization") == 1 && headers.count("x-api-key") == 0 && request.listener != "admin";
        if (!by_one_key) return gateway::authenticate(*table, request, now);
        if (table_ != table) {
            table_ = table;
            known_.clear();
        }
        const Tag tag = tag_of(headers.get("authorization"));
        if (const auto found = known_.find(tag); found != known_.end()) {
            if (now < found->second.until) return found->second.principal;
            known_.erase(found);
        }
        Result<Principal> found = gateway::authenticate(*table, request, now);
        if (found && known_.size() < kKnownMax) {
            const auto row = table->keys.find(named_key(headers));
            if (row != table->keys.end()) known_.emplace(tag, Known{*found, row->second.expires_at.value_or(WallTime::max())});
        }
        return found;
    }

private:
    using Tag = std::array<unsigned char, crypto_shorthash_siphashx24_BYTES>;
    struct Known {
        Principal principal;
        WallTime until{};
    };
    static constexpr size_t kKnownMax = 1024;

    Tag tag_of(std::string_view text) const {
        Tag tag;
        crypto_shorthash_siphashx24(tag.data(), reinterpret_cast<const unsigned char*>(text.data()), text.size(), secret_.data());
        return tag;
    }

    std::array<unsigned char, crypto_shorthash_siphashx24_KEYBYTES> secret_;
    std::shared_ptr<const AuthTable> table_;
    std::map<Tag, Known> known_;
};

struct State {
    const Tables& tables;
    const Clock& clock;
    Throttle peers;
    Throttle keys;
    Refusals refusals;
    Passed passed;
    KnownKeys known;
};

constexpr std::chrono::milliseconds kPassedFor{500};   // a key may expire or be revoked while a body arrives

bool is_safe(const std::string& method) { return method == "GET" || method == "HEAD"; }

// Whether the page that sent this came from us. Browsers send Sec-Fetch-Site to https and localhost only, Origin always.
bool same_site(const http::Headers& headers) {
    const std::string_view fetch_site = headers.get("sec-fetch-site");
    if (!fetch_site.empty()) return fetch_site == "same-origin" || fetch_site == "none";
    std::string_view origin = headers.get("origin");
    const size_t scheme = origin.find("://");
    if (scheme == std::string_view::npos) return false;  // absent, or "null"
    const std::string_view name = origin.substr(0, scheme);
    if (name != "http" && name != "https") return false;
    origin.remove_prefix(scheme + 3);
    return !origin.empty() && headers.count("host") == 1 && equal_without_case(origin, headers.get("host"));
}

// A request without credentials is refused but guesses nothing: only a wrong key or session counts as an attempt.
bool holds_credentials(const http::Headers& headers) {
    return headers.count("authorization") > 0 || headers.count("x-api-key") > 0 || headers.count("cookie") > 0;
}

Refusal refuse_unknown(State& state, const http::Request& request, const Error& error) {
    if (!holds_credentials(request.headers)) {
        state.refusals.unauthenticated.Increment();
        return Refusal(error);
    }
    const SteadyTime now = state.clock.steady();
    int wait_s = 0;
    if (request.peer != "unix") wait_s = state.peers.failed(peer_source(request.peer), now);
    if (const std::string key = named_key(request.headers); !key.empty()) wait_s = std::max(wait_s, state.keys.failed(key, now));
    if (wait_s == 0) {
        state.refusals.unauthenticated.Increment();
        return Refusal(error);
    }
    state.refusals.throttled.Increment();
    return Refusal(Error{ErrorCode::kRateLimited,
                              "Too many failed attempts to authenticate from here. Wait, then send a valid key.",
                              {},
                              "rate_limit_exceeded"},
                        wait_s);
}

Refusal refuse_forbidden(State& state, std::string message, std::string reason) {
    state.refusals.forbidden.Increment();
    return Refusal(Error{ErrorCode::kPermissionDenied, std::move(message), {}, std::move(reason)});
}

// What the principal may not do here; nullopt: let it pass.
std::optional<Refusal> check_access(State& state, const http::Request& request, const std::string& access,
                                     const Principal& principal) {
    if (principal.by_cookie && !is_safe(request.method) && !same_site(request.headers)) {
        state.refusals.cross_site.Increment();
        return Refusal(Error{ErrorCode::kPermissionDenied,
                                  "This request came from another site's page. Use the console itself, or an API key.",
                                  {},
                                  "cross_site_request"});
    }
    // Keys only: sessions and the admin socket have both scopes.
    if (access == kInference ? !principal.scopes.inference : !principal.scopes.management) {
        return refuse_forbidden(state,
                                access == kInference ? "This key is for the management API only: its scopes lack \"inference\"."
                                                     : "This key is for inference only: its scopes lack \"management\".",
                                "insufficient_scope");
    }
    if (access == kOwnPassword) return std::nullopt;
    if (principal.must_change_password) {
        return refuse_forbidden(state, "Change your password first: POST /api/v1/auth/password.", "password_change_required");
    }
    if (access == kUser || access == kInference) return std::nullopt;
    if (access == kAdmin) {
        if (principal.role == Role::kAdmin) return std::nullopt;
        return refuse_forbidden(state, "Only an administrator may do this.", "admin_required");
    }
    // A route with a word that nobody understands: closed.
    log::error("route {} has the unknown access '{}'", log::escape(request.path, 200), access);
    return refuse_forbidden(state, "Nobody may do this.", "permission_denied");
}

// Leaves the principal in `out` when the request may pass.
std::optional<Refusal> check(State& state, const http::Request& request, const http::Route& route,
                              std::optional<Principal>& out) {
    auto table = state.tables.auth();
    const WallTime now = state.clock.wall();
    Passed& passed = state.passed;
    if (!passed.request_id.empty() && passed.request_id == request.id && passed.route == &route && passed.table == table &&
        now >= passed.at && now - passed.at < kPassedFor) {
        out = std::move(passed.principal);
        passed.request_id.clear();
        passed.table.reset();
        return std::nullopt;
    }
    Result<Principal> found = state.known.authenticate(table, request, now);
    // A valid key passes even where others have failed too often: nobody can lock its owner out.
    if (!found) return refuse_unknown(state, request, found.error());
    std::optional<Refusal> refusal = check_access(state, request, route.access, *found);
    if (!refusal) out = std::move(found).value();
    return refusal;
}

bool is_of_links(const std::string& access) { return access == kLink || access == kJoin; }

// Workers' links see their own routes only, and nobody else sees those; a worker shows its certificate. nullopt: it may pass.
std::optional<Refusal> check_link(const http::Request& request, const http::Route& route) {
    if ((request.listener == kLinkListener) != is_of_links(route.access)) {
        return Refusal(Error{ErrorCode::kNotFound, "there is nothing at this path", {}, {}});
    }
    if (route.access != kLink || !request.peer_certificate.empty()) return std::nullopt;
    return Refusal(Error{ErrorCode::kUnauthenticated, "Only a worker that has joined may do this.", {}, "certificate_required"});
}

Task<void> refuse(Exchange& exchange, Refusal refusal) {
    Response response = answer_of(refusal, exchange.request().path);
    co_await exchange.respond(std::move(response));
}

// No coroutine of its own where the request passes.
Task<void> guard(State& state, Exchange& exchange, const http::Route* route, const http::Next& next) {
    if (route == nullptr) return next(exchange);
    if (std::optional<Refusal> hidden = check_link(exchange.request(), *route)) return refuse(exchange, *std::move(hidden));
    if (route->access == kPublic || is_of_links(route->access)) return next(exchange);
    std::optional<Principal> principal;
    std::optional<Refusal> refusal = check(state, exchange.request(), *route, principal);
    if (refusal) return refuse(exchange, *std::move(refusal));
    exchange.context = *std::move(principal);
    return next(exchange);
}

http::Middleware middleware_of(std::shared_ptr<State> state) {
    return [state](Exchange& exchange, const http::Route* route, const http::Next& next) {
        return guard(*state, exchange, route, next);
    };
}

}  // namespace

http::Middleware authentication(const Tables& tables, const Clock& clock) {
    // Shared: the middleware is a copyable function, its copies count failures together.
    return middleware_of(std::make_shared<State>(State{tables, clock, {}, {}, {}, {}, {}}));
}

Authentication make_authentication(const Tables& tables, const http::Router& router, const Clock& clock) {
    auto state = std::make_shared<State>(State{tables, clock, {}, {}, {}, {}, {}});  // shared by the two functions
    Authentication both;
    both.middleware = middleware_of(state);
    both.head_check = [state, &router](const http::Request& head) -> std::optional<Response> {
        const auto match = router.match(head.method, head.path);
        if (match.route == nullptr) return std::nullopt;
        if (const std::optional<Refusal> hidden = check_link(head, *match.route)) return answer_of(*hidden, head.path);
        if (match.route->access == kPublic || is_of_links(match.route->access)) return std::nullopt;
        std::optional<Principal> principal;
        const std::optional<Refusal> refusal = check(*state, head, *match.route, principal);
        if (refusal) return answer_of(*refusal, head.path);
        Passed& passed = state->passed;   // each by itself: a whole one would be made, moved and destroyed
        passed.request_id = head.id;
        passed.route = match.route;
        passed.table = state->tables.auth();
        passed.at = state->clock.wall();
        passed.principal = *std::move(principal);
        return std::nullopt;
    };
    return both;
}

const Principal& principal(const http::Exchange& exchange) {
    const auto* found = std::any_cast<Principal>(&exchange.context);
    GANTRY_ASSERT(found != nullptr, "principal() on a route that authentication did not guard");
    return *found;
}

}  // namespace gantry::gateway
