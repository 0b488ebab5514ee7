#include "control/api/api.h"

#include <fmt/format.h>

#include <charconv>
#include <exception>

#include "base/log.h"
#include "control/api/audit_recorder.h"
#include "control/api/csv_answer.h"
#include "control/api/one_change.h"
#include "control/api/repeats.h"
#include "protocol/management/fields.h"
#include "protocol/openai/errors.h"

namespace gantry::control {
namespace {

namespace openai = protocol::openai;

// A body that waits for a password's turn, or comes from a stranger, is small; a deployment is never large.
constexpr size_t kPasswordBodyBytesMax = 16 << 10;
constexpr size_t kBodyBytesMax = 1 << 20;

// Logins and the like are not: they set cookies, count failures, and are not to be had again.
bool is_one_change(const ApiRoute& route) {
    return AuditRecorder::changes(route) && !std::string_view(route.pattern).starts_with("/api/v1/auth/");
}

Result<Answer> make_change(const ApiRoute& route, ApiContext& api, const Call& call) {
    Repeat repeat(api, call);
    if (auto known = repeat.answer()) return *std::move(known);
    AuditRecorder recorder(api, route, call);
    OneChange change(api);
    Result<Answer> answer = route.work(api, call);
    if (!answer || answer->status >= 300) return answer;
    recorder.record(answer);
    GANTRY_TRY(repeat.keep(*answer));
    GANTRY_TRY(change.commit());
    return answer;
}

// Runs on the pool.
Result<Answer> perform(const ApiRoute& route, ApiContext& api, const Call& call) {
    if (is_one_change(route)) return make_change(route, api, call);
    AuditRecorder recorder(api, route, call);
    Result<Answer> answer = route.work(api, call);
    recorder.record(answer);
    return answer;
}

http::Task<void> serve(ApiContext& api, ApiRoute route, bool is_public, http::Exchange& exchange) {
    const Call call{exchange.request(), is_public ? nullptr : &gateway::principal(exchange)};
    Result<Answer> answer = Answer{};
    if (Status type = check_content_type(call); !type) {
        answer = error_answer(type.error());
        answer->status = 415;
    } else if (const Result<bool> csv = route.csv != nullptr ? wants_csv(call.request) : Result<bool>(false); !csv) {
        answer = csv.error();
    } else if (*csv) {
        co_await answer_csv(api, route, call, exchange);
        co_return;
    } else {
        bool entered = true;
        if (route.hashes) entered = co_await api.hash_gate.enter();
        if (!entered) {
            answer = error_answer({ErrorCode::kRateLimited, "too many passwords are being checked now; try again", {}, {}});
            answer->headers.set("retry-after", "2");
        } else {
            answer = co_await api.pool.run([&] { return guarded(route, [&] { return perform(route, api, call); }); });
            if (route.hashes) api.hash_gate.leave();
        }
    }
    http::Response response = to_response(answer ? *std::move(answer) : error_answer(answer.error()));
    co_await exchange.respond(std::move(response));
}

}  // namespace

void ApiContext::changed() {
    (void)once_stored([this]() -> Status {
        if (Status status = publisher.refresh(); !status) {
            // On disk it is; the reconciler publishes it when the database can be read again.
            log::error("a change can't be published yet: {}", status.error().message);
        }
        reconciler.notify();
        poke_workers();
        return Ok{};
    });
}

void ApiContext::poke_workers() {
    std::vector<std::function<void()>> pokes;
    workers.with([&pokes](const auto& map) {
        for (const auto& [id, access] : map) {
            if (access.poke) pokes.push_back(access.poke);
        }
    });
    for (const auto& poke : pokes) poke();
}

void ApiContext::poke_worker(const WorkerId& id) {
    std::function<void()> poke;
    workers.with([&](const auto& map) {
        if (const auto found = map.find(id); found != map.end()) poke = found->second.poke;
    });
    if (poke) poke();
}

Answer json_answer(int status, const json::value& body) { return {status, json::serialize(body), {}}; }
Answer no_content() { return {204, {}, {}}; }
Answer error_answer(const Error& error) {
    return {openai::http_status(error.code), openai::error_json(error), {}};
}

http::Response to_response(Answer answer) {
    http::Response response = answer.body.empty() && answer.status == 204
                                  ? http::Response{204, {}, {}}
                                  : http::json_response(answer.status, std::move(answer.body));
    for (const auto& [name, value] : answer.headers) response.headers.add(name, value);
    // Answers are for whoever asked, now.
    response.headers.set("cache-control", "no-store");
    response.headers.set("x-content-type-options", "nosniff");
    return response;
}

bool still_allowed(const ApiContext& api, const http::Exchange& exchange) {
    const auto who = gateway::authenticate(*api.tables.auth(), exchange.request(), api.clock.wall());
    return who.ok() && who->role == gateway::principal(exchange).role && who->scopes.management;
}

Status check_content_type(const Call& call) {
    const bool browser = call.who == nullptr || call.who->by_cookie;
    if (!browser || call.request.body.empty()) return Ok{};
    std::string_view type = call.request.headers.get("content-type");
    type = type.substr(0, type.find(';'));
    while (!type.empty() && type.back() == ' ') type.remove_suffix(1);
    if (type == "application/json") return Ok{};
    return invalid_argument("the body must come with Content-Type: application/json", {}, "unsupported_media_type");
}

void add_routes(http::Router& router, ApiContext& api, const std::vector<ApiRoute>& routes) {
    for (const ApiRoute& route : routes) {
        const bool is_public = std::string_view(route.access) == gateway::kPublic;
        const size_t body_bytes = is_public || route.hashes ? kPasswordBodyBytesMax : kBodyBytesMax;
        // No coroutine itself: it hands what it captured on as parameters.
        router.add({route.method, route.pattern, route.access, [&api, route, is_public](http::Exchange& exchange) {
                        return serve(api, route, is_public, exchange);
                    }, body_bytes});
    }
}

Result<store::PageRequest> page_request(const http::Request& request) {
    store::PageRequest page;
    page.cursor = request.query_value("cursor");
    page.name_contains = request.query_value("name");
    if (const std::string_view limit = request.query_value("limit"); !limit.empty()) {
        const auto [end, error] = std::from_chars(limit.data(), limit.data() + limit.size(), page.limit);
        if (error != std::errc{} || end != limit.data() + limit.size() || page.limit < 1 || page.limit > 500) {
            return invalid_argument("\"limit\" must be a whole number from 1 to 500", "limit");
        }
    }
    const std::string_view order = request.query_value("order");
    if (!order.empty() && order != "asc" && order != "desc") {
        return invalid_argument("\"order\" must be asc or desc", "order");
    }
    page.descending = order == "desc";
    return page;
}

Result<store::PageRequest> timed_page_request(const http::Request& request) {
    Result<store::PageRequest> page = page_request(request);
    if (!page) return page;
    for (const auto& [name, out] : {std::pair{"from", &page->from}, std::pair{"to", &page->to}}) {
        std::string text(request.query_value(name));
        if (text.empty()) continue;
        if (text.size() == std::string_view("2026-12-31").size()) text += "T00:00:00Z";
        *out = protocol::management::parse_rfc3339(text);
        if (!*out) {
            return invalid_argument(fmt::format("\"{}\" must be a time in UTC such as 2026-12-31T23:59:59Z, or a date", name), name);
        }
    }
    return page;
}

}  // namespace gantry::control
