#pragma once
// The management API: how its routes are made. A file a resource beside this one, a table of routes in each. Nearly all
// handlers are plain functions that may block: they run on the blocking pool, and never on the io thread.
//
// A change: its handler writes and calls changed(); then all of it is committed at once with its audit record, then published
// (tables, watchers, reconciler), then answered (one_change.h). What a 2xx acknowledges is on disk. Handlers do what is slow
// before their first write, since other writers wait from then on.

#include <atomic>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/guarded.h"
#include "base/json.h"
#include "base/log.h"
#include "control/api/failed_logins.h"
#include "control/auth/login_throttle.h"
#include "control/auth/passwords.h"
#include "control/cluster/authority.h"
#include "control/control.h"
#include "control/device_history.h"
#include "control/knowledge.h"
#include "control/observed.h"
#include "control/publish.h"
#include "control/reconciler.h"
#include "control/secrets.h"
#include "control/watch_hub.h"

namespace gantry::control {

class Benchmarks;   // control/benchmarks

// What the handlers work with; lives as long as the routes.
struct ApiContext {
    http::asio::io_context& io;
    http::BlockingPool& pool;
    store::Store& store;
    gateway::Tables& tables;
    const Clock& clock;
    RandomSource& random;
    ControlOptions options;
    WatchHub& hub;
    Publisher& publisher;
    Secrets& secrets;
    Observed& observed;
    DeviceHistory& history;
    KnowledgeSource& knowledge;
    Sleep& sleep;
    Reconciler& reconciler;
    LoginThrottle throttle{clock};
    HashGate hash_gate{io};
    FailedLogins failed_logins{clock};
    Guarded<std::unordered_map<WorkerId, WorkerAccess>> workers{};
    Guarded<std::set<std::string>> worked_on{};   // requests that came with an Idempotency-Key (repeats.h)
    WallTime started_at{};
    std::atomic<bool> stopping{false};
    const Authority* authority = nullptr;      // of the cluster; set before the routes are
    http::Client* far = nullptr;               // to the HTTP of workers elsewhere; the same
    http::Client* engines = nullptr;           // for their metrics, wherever they run; the same
    Benchmarks* benchmarks = nullptr;          // the same

    // Rows changed: publishes, wakes the reconciler and the workers, once_stored().
    void changed();
    // Users, keys or sessions changed. An error: the change is on disk, but not in force yet; the caller answers it.
    Status auth_changed() { return once_stored([this] { return publisher.refresh_auth(); }); }
    // Does it once the change that this thread works on is on disk, and not at all where that fails (one_change.h); the answer is
    // then its error. At once, where the thread works on none.
    Status once_stored(std::function<Status()> follow);
    void poke_workers();
    void poke_worker(const WorkerId& id);
};

struct Call {
    const http::Request& request;
    const Principal* who = nullptr;            // null on public routes
    bool admin() const { return who != nullptr && who->role == Role::kAdmin; }
    const std::string& param(const std::string& name) const { return request.params.at(name); }
};
struct Answer {
    int status = 200;
    std::string body;                          // JSON; empty with 204
    http::Headers headers;
};
using Work = std::function<Result<Answer>(ApiContext&, const Call&)>;   // blocking

Answer json_answer(int status, const json::value& body);
Answer no_content();
Answer error_answer(const Error& error);
http::Response to_response(Answer answer);

// The lines of a CSV answer, some more at each call, so that an answer of any size takes little memory. False: that was all.
// Blocking.
using CsvSource = std::function<Result<bool>(std::string& out)>;

// A route with a method other than GET is recorded in the audit log when it has succeeded (audit_recorder.h).
struct ApiRoute {
    const char* method;
    const char* pattern;
    const char* access;
    Result<Answer> (*work)(ApiContext&, const Call&);
    bool hashes = false;                       // goes through HashGate
    Result<CsvSource> (*csv)(ApiContext&, const Call&) = nullptr;   // of a list that may be had as CSV: checks, and reads nothing yet
};
void add_routes(http::Router& router, ApiContext& api, const std::vector<ApiRoute>& routes);
// For what is longer than its first check: whether the sender of `exchange` still may do what it could then (behind
// authentication; not revoked, the same role, the scope). Streams ask before each write, and every kAskEvery while idle.
bool still_allowed(const ApiContext& api, const http::Exchange& exchange);
inline constexpr std::chrono::milliseconds kAskEvery{500};

// Runs a route's work. Nothing of the standard library or Boost that throws gets past here.
template <class Work>
auto guarded(const ApiRoute& route, Work work) -> decltype(work()) {
    try {
        return work();
    } catch (const std::exception& problem) {
        log::error("{} {}: {}", route.method, route.pattern, problem.what());
        return internal_error("the server failed at this request; its log says how");
    }
}
// A body sent along with a cookie, or to a public route, must say that it is JSON: a form of another site can't.
Status check_content_type(const Call& call);

// Opens a session and gives its Set-Cookie; the one that the request's cookie holds ends, so that an id planted before the login
// is worth nothing. Blocking.
Result<std::string> open_session(ApiContext& api, const http::Request& request, const User& user, std::chrono::hours lasts);

// limit=1..500, cursor, name, order=asc|desc.
Result<store::PageRequest> page_request(const http::Request& request);
template <class T, class ToJson>
Answer list_answer(const store::Page<T>& page, ToJson to_json) {
    json::array items;
    for (const T& item : page.items) items.emplace_back(to_json(item));
    json::value next;
    if (!page.next_cursor.empty()) next = page.next_cursor;
    return json_answer(200, json::object{{"items", std::move(items)}, {"next_cursor", std::move(next)}});
}

// The same as CSV, by ?format=csv or Accept: text/csv; without limit and cursor, which stand for pages.
Result<bool> wants_csv(const http::Request& request);
// page_request() with from= and to=: RFC 3339 in UTC, or a date.
Result<store::PageRequest> timed_page_request(const http::Request& request);

// A source that reads page after page with `read` (cursor -> Result<store::Page<T>>) and writes each item with `add`.
template <class Read, class Add>
CsvSource csv_pages(void (*header)(std::string&), Read read, Add add) {
    return [header, read, add, cursor = std::string(), begun = false](std::string& out) mutable -> Result<bool> {
        auto page = read(cursor);
        if (!page) return page.error();
        if (!begun) header(out);
        begun = true;
        for (const auto& item : page->items) add(out, item);
        cursor = page->next_cursor;
        return !cursor.empty();
    };
}
inline constexpr uint32_t kCsvRowsAtOnce = 500;

// An optimistic edit: `input_version` is the one the caller saw (nullopt: last write wins), `read` gets the row, `write`
// changes and stores it against the version read. Repeats when another edit came between and the caller named no version.
template <class Read, class Write>
auto edit(std::optional<int64_t> input_version, int64_t (*version_of)(const std::decay_t<decltype(*std::declval<Read>()())>&),
          Read read, Write write) -> decltype(read()) {
    for (int attempt = 0;; ++attempt) {
        auto row = read();
        if (!row) return row;
        const int64_t seen = version_of(*row);
        if (input_version && *input_version != seen) {
            return conflict("it was changed meanwhile: the version is " + std::to_string(seen) + ", the edit saw " +
                            std::to_string(*input_version) + "; read it again and repeat the edit");
        }
        const Status written = write(*row, seen);
        if (written) return row;
        const Error& error = written.error();
        const bool again = error.code == ErrorCode::kConflict && error.param == "version" && !input_version && attempt < 5;
        if (!again) return error;
    }
}

// Each resource's file.
void add_deployment_routes(http::Router& router, ApiContext& api);
void add_instance_routes(http::Router& router, ApiContext& api);
void add_deployment_metric_routes(http::Router& router, ApiContext& api);
void add_log_routes(http::Router& router, ApiContext& api);
void add_worker_routes(http::Router& router, ApiContext& api);
void add_join_token_routes(http::Router& router, ApiContext& api);
void add_device_routes(http::Router& router, ApiContext& api);
void add_backend_routes(http::Router& router, ApiContext& api);
void add_evaluation_routes(http::Router& router, ApiContext& api);
void add_model_routes(http::Router& router, ApiContext& api);
void add_model_file_routes(http::Router& router, ApiContext& api);
void add_catalogue_routes(http::Router& router, ApiContext& api);
void add_route_routes(http::Router& router, ApiContext& api);
void add_provider_routes(http::Router& router, ApiContext& api);
void add_user_routes(http::Router& router, ApiContext& api);
void add_key_routes(http::Router& router, ApiContext& api);
void add_usage_routes(http::Router& router, ApiContext& api);
void add_request_routes(http::Router& router, ApiContext& api);
void add_audit_routes(http::Router& router, ApiContext& api);
void add_auth_routes(http::Router& router, ApiContext& api);
void add_oidc_routes(http::Router& router, ApiContext& api);
void add_server_routes(http::Router& router, ApiContext& api);
void add_backup_routes(http::Router& router, ApiContext& api);
void add_watch_routes(http::Router& router, ApiContext& api);
void add_health_routes(http::Router& router, ApiContext& api);
void add_benchmark_routes(http::Router& router, ApiContext& api);
void add_compare_routes(http::Router& router, ApiContext& api);
void add_console(http::Router& router, ApiContext& api);
void add_join_script(http::Router& router, ApiContext& api);
void add_openapi_route(http::Router& router, ApiContext& api);
std::string_view openapi_json();

}  // namespace gantry::control
