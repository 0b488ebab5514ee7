#pragma once
// The OpenAI API of the platform: authenticate, hold to limits, resolve, route, relay, meter. Runs on the io thread.

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "domain/usage.h"
#include "gateway/activity.h"
#include "gateway/live_requests.h"
#include "gateway/tables.h"
#include "http/http.h"

namespace gantry::gateway {

// Finds out who a request comes from: `Authorization: Bearer gtk_...`, `x-api-key`, the session cookie `gantry_session`, or the
// admin socket (listener "admin": the first enabled admin, or whom kActsFor names). kUnauthenticated, with one text for every cause.
Result<Principal> authenticate(const AuthTable& table, const http::Request& request, WallTime now);

// On the admin socket, whose owner may be anybody already: whose request to a model this is, "usr_..." or "usr_.../key_..." (then with
// that key's limits). It is that user's as long as the user, and the key, may act; and it opens nothing but /v1. For what the server
// does for a user who is not there (control/benchmarks). Elsewhere the field means nothing.
inline constexpr char kActsFor[] = "x-gantry-acts-for";

// Words for http::Route::access.
inline constexpr char kPublic[] = "public";         // anyone
inline constexpr char kUser[] = "user";             // any principal
inline constexpr char kAdmin[] = "admin";           // role admin
inline constexpr char kInference[] = "inference";   // any principal, on the OpenAI surface (errors in its shape)
inline constexpr char kLink[] = "link";             // a worker elsewhere, by its certificate
inline constexpr char kJoin[] = "join";             // who may become one: the handler looks at its token
// Changes nothing but the own password while must_change_password is set.
inline constexpr char kOwnPassword[] = "own-password";

// On whose requests routes of kLink and kJoin are, and no others (http::Server::accept_mutual).
inline constexpr char kLinkListener[] = "cluster";

// The middleware that enforces Route::access and the key's scopes (kInference needs "inference", all else "management"), and
// leaves the Principal in Exchange::context. Cookie requests with a method other than GET and HEAD need a same-site Origin or
// Sec-Fetch-Site. Failed attempts are throttled by peer and by key id.
http::Middleware authentication(const Tables& tables, const Clock& clock);
// The same, and a check for http::Server::on_head that refuses with 401, 403 or 429 before a body is read; both share what
// they know of failed attempts. `router` is the server's, and outlives it.
struct Authentication {
    http::Middleware middleware;
    std::function<std::optional<http::Response>(const http::Request& head)> head_check;
};
Authentication make_authentication(const Tables& tables, const http::Router& router, const Clock& clock);
const Principal& principal(const http::Exchange& exchange);   // REQUIRES: behind the middleware, on a route that is not public

// Foreign Host headers are refused (DNS rebinding): IP literals, localhost and the names in `allowed` pass.
http::Middleware host_check(std::vector<std::string> allowed);

// For http::ServerOptions::error_response: the four-key shape of every error (also good for /api/v1). `path` is where.
http::Response openai_error_response(int status, const std::string& message, const std::string& path);

// The description of /v1, served at /v1/openapi.json. A test holds it against the routes and the parsers.
std::string_view openapi_json();

// Sums of the tokens recorded in [from, before), by user and key, those in the journal included. May take long.
using TokensUsedIn = std::function<http::Task<Result<std::vector<TokensUsed>>>(WallTime from, WallTime before)>;

// Whose request a model is woken for.
struct WokenBy {
    UserId user_id{};
    std::string user_name{};
    ApiKeyId key_id{};                   // empty: a session's
    std::string peer{};
    std::string request_id{};
};
// Must not block. Asking for what is awake does nothing.
using Wake = std::function<void(const DeploymentId& deployment, const WokenBy& by)>;

struct GatewayOptions {
    std::chrono::milliseconds connect_timeout{5'000};
    std::chrono::milliseconds answer_timeout{600'000};   // request sent to an engine until the head of its answer
    std::chrono::milliseconds idle_timeout{120'000};     // between two pieces of an answer
    uint32_t queue_limit = 2'048;                        // requests an instance may have at once, running and waiting
    std::chrono::milliseconds hold_timeout{60'000};      // a request to a model that is asleep waits so long for it at most
    std::chrono::milliseconds hold_ping_every{10'000};   // meanwhile, where its answer is streamed
    Wake wake{};                                         // null: nothing sleeps
    uint64_t journal_file_bytes = 8u << 20;              // a journal file this long is followed by the next
    TokensUsedIn tokens_used{};                          // what monthly budgets start from; null: from nothing
    std::string dialed_prefix{};                         // endpoints of instances that begin so,
    http::Dialer dialer{};                               // are connected to by this
};

class Gateway {
public:
    // `journal_dir`: where usage records are appended (usage-<n>.jsonl) before the last byte of an answer goes out.
    static Result<std::unique_ptr<Gateway>> create(http::asio::io_context& io, Tables& tables, std::string journal_dir,
                                                   const Clock& clock, GatewayOptions options = {});
    virtual ~Gateway() = default;
    virtual void add_routes(http::Router& router) = 0;   // /v1/* and /v1-openai/*
    // What answers POST /v1/chat/completions, for requests that come another way; their exchange is behind authentication.
    virtual http::Handler chat() = 0;
    // Begins to look up what the budgets in the tables have used. Once, when they are set and no request has come; then budgets
    // let nothing pass until it is known, and all else is not affected.
    virtual void start() = 0;
    // Takes what the journal holds, oldest first, through `store`; files wholly taken are deleted. Called from a blocking
    // thread, by one caller at a time; idempotent after a crash because records carry request ids.
    virtual Status fold_journal(const std::function<Status(const std::vector<UsageRecord>&)>& store) = 0;
    // Begins a new journal file: the fold_journal() after it leaves no line of a record that was written before. False: the disk
    // refuses. Io thread.
    virtual bool rotate_journal() = 0;
    virtual uint32_t in_flight(const InstanceId& instance) const = 0;   // io thread
    virtual LiveRequests& live() = 0;
    virtual Activity& activity() = 0;
    // The server stops, and nobody wakes models any more: requests that are held end. Io thread.
    virtual void end_holds() = 0;
};

}  // namespace gantry::gateway
