// /healthz, /readyz, /metrics.
#include "base/metrics.h"
#include "control/api/api.h"
#include "control/engine_metrics.h"

namespace gantry::control {
namespace {

// Anyone may ask for /readyz; the disk is asked at most so often.
constexpr std::chrono::milliseconds kAskEvery{500};

struct Readiness {
    std::vector<std::string> reasons;   // empty: ready
    SteadyTime asked_at{};
    bool known = false;
};

std::vector<std::string> find_reasons(ApiContext& api) {
    std::vector<std::string> reasons;
    if (Status status = api.store.check_writable(); !status) {
        reasons.push_back("the database can't be written: " + status.error().message);
    }
    if (!api.reconciler.alive()) reasons.emplace_back("the reconciler is not running");
    if (api.publisher.stale()) reasons.emplace_back("a change in the database is not in force yet");
    if (api.options.shortage) {
        if (std::string shortage = api.options.shortage(); !shortage.empty()) reasons.push_back(std::move(shortage));
    }
    if (api.stopping) reasons.emplace_back("the server is stopping");
    return reasons;
}

http::Task<void> ready(ApiContext& api, Readiness& last, http::Exchange& exchange) {
    const SteadyTime now = std::chrono::steady_clock::now();
    // What is not ready is asked again each time: who waits for it wants to know at once.
    if (!last.known || !last.reasons.empty() || now - last.asked_at >= kAskEvery) {
        auto reasons = co_await api.pool.run([&api] { return find_reasons(api); });
        last = Readiness{std::move(reasons), now, true};
    }
    json::array reasons;
    for (const std::string& reason : last.reasons) reasons.emplace_back(reason);
    const bool is_ready = last.reasons.empty();
    const json::object body{{"ready", is_ready}, {"reasons", std::move(reasons)}};
    http::Response response = to_response(json_answer(is_ready ? 200 : 503, body));
    co_await exchange.respond(std::move(response));
}

http::Task<void> alive(http::Exchange& exchange) {
    http::Response response = http::text_response(200, "ok\n");
    response.headers.set("cache-control", "no-store");
    co_await exchange.respond(std::move(response));
}

http::Task<void> show_metrics(ApiContext& api, http::Exchange& exchange) {
    std::vector<EngineText> engines = co_await ask_engines(api.io, *api.engines, api.tables.routes());
    std::string text = co_await api.pool.run([&api, &engines] {
        api.publisher.show_metrics();
        return metrics::text() + merge_engine_metrics(engines);
    });
    http::Response response = http::text_response(200, std::move(text));
    response.headers.set("content-type", "text/plain; version=0.0.4; charset=utf-8");
    response.headers.set("cache-control", "no-store");
    co_await exchange.respond(std::move(response));
}

}  // namespace

void add_health_routes(http::Router& router, ApiContext& api) {
    router.add({"GET", "/healthz", gateway::kPublic, [](http::Exchange& exchange) { return alive(exchange); }});
    // Shared by the route's copies of the function.
    auto last = std::make_shared<Readiness>();
    router.add({"GET", "/readyz", gateway::kPublic,
                [&api, last](http::Exchange& exchange) { return ready(api, *last, exchange); }});
    router.add({"GET", "/metrics", gateway::kUser, [&api](http::Exchange& exchange) { return show_metrics(api, exchange); }});
}

}  // namespace gantry::control
