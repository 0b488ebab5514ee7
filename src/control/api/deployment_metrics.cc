// GET /api/v1/deployments/{id}/metrics: what the engines of a deployment say of themselves now, or every two seconds as a stream. Asked of
// the engines each time, so that nobody is asked while nobody looks.
#include <fmt/format.h>

#include "base/log.h"
#include "control/api/api.h"
#include "control/engine_metrics.h"
#include "protocol/management/objects.h"

namespace gantry::control {
namespace {

constexpr std::chrono::seconds kAskEnginesEvery{2};

// The tables of this deployment alone; null: there is none of that id or name.
std::shared_ptr<const gateway::RouteTable> only(const ApiContext& api, const std::string& id_or_name) {
    const auto all = api.tables.routes();
    for (const auto& [name, model] : all->models) {
        if (model.outside || (model.deployment_id.text != id_or_name && name != id_or_name)) continue;
        auto table = std::make_shared<gateway::RouteTable>();   // the engines are asked while the tables may be replaced
        table->models.emplace(name, model);
        return table;
    }
    return nullptr;
}

http::Task<std::string> ask(ApiContext& api, std::shared_ptr<const gateway::RouteTable> table) {
    const std::vector<EngineText> engines = co_await ask_engines(api.io, *api.engines, std::move(table));
    json::array items;
    for (const EngineText& engine : engines) items.push_back(protocol::management::to_json(figures_of(engine)));
    json::object figures;
    figures["at"] = to_rfc3339(api.clock.wall());
    figures["items"] = std::move(items);
    co_return json::serialize(figures);
}

http::Task<void> follow(ApiContext& api, http::Exchange& exchange, const std::string& id) {
    http::Headers headers{{"content-type", "text/event-stream"}, {"cache-control", "no-store"}};
    const bool began = co_await exchange.start_stream(200, std::move(headers));
    if (!began) co_return;
    http::Signal gone(api.io);
    exchange.on_client_gone([&gone] { gone.notify(); });
    while (!exchange.client_gone() && !api.stopping && still_allowed(api, exchange)) {
        auto table = only(api, id);
        if (!table) break;
        const std::string figures = co_await ask(api, std::move(table));
        const std::string event = http::sse_event(figures, "metrics");
        const bool written = co_await exchange.write(event);
        if (!written) break;
        for (auto waited = std::chrono::milliseconds{0}; waited < kAskEnginesEvery && !exchange.client_gone() && !api.stopping; waited += kAskEvery) {
            co_await gone.wait(kAskEvery);
        }
    }
    exchange.on_client_gone({});
    if (!exchange.client_gone()) co_await exchange.finish();
}

http::Task<void> metrics(ApiContext& api, http::Exchange& exchange) {
    const std::string id = exchange.request().params.at("id");
    const std::string wanted(exchange.request().query_value("follow"));
    auto table = only(api, id);
    if (!wanted.empty() && wanted != "true" && wanted != "false") {
        http::Response response = to_response(error_answer(invalid_argument("\"follow\" must be true or false", "follow")));
        co_await exchange.respond(std::move(response));
    } else if (!table) {
        http::Response response = to_response(error_answer(not_found(fmt::format("there is no deployment \"{}\"", log::escape(id, 200)))));
        co_await exchange.respond(std::move(response));
    } else if (wanted == "true") {
        co_await follow(api, exchange, id);
    } else {
        Answer answer;
        answer.body = co_await ask(api, std::move(table));
        http::Response response = to_response(std::move(answer));
        co_await exchange.respond(std::move(response));
    }
}

}  // namespace

void add_deployment_metric_routes(http::Router& router, ApiContext& api) {
    router.add({"GET", "/api/v1/deployments/{id}/metrics", gateway::kUser,
                [&api](http::Exchange& exchange) { return metrics(api, exchange); }});
}

}  // namespace gantry::control
