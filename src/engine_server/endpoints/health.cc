#include "engine_server/endpoints/endpoints.h"

namespace gantry::engine_server {
namespace {

constexpr double kStalledAfterSeconds = 10;

bool stalled(const LoadedModel& model) {
    if (model.embedder) {
        return model.embedder->stats().waiting > 0 &&
               model.embedder->seconds_since_progress() > kStalledAfterSeconds;
    }
    if (model.transcriber) {
        return model.transcriber->stats().waiting > 0 &&
               model.transcriber->seconds_since_progress() > kStalledAfterSeconds;
    }
    const engine::EngineStats stats = model.engine->stats();
    return stats.running + stats.waiting > 0 &&
           model.engine->seconds_since_progress() > kStalledAfterSeconds;
}

http::Response health_response(const Services& services) {
    json::object body;
    if (!services.model) {
        body["status"] = "loading";
        body["progress"] = services.progress.load();
        http::Response response = http::json_response(503, json::serialize(body));
        response.headers.set("retry-after", "1");
        return response;
    }
    if (stalled(*services.model)) {
        body["status"] = "stalled";
        return http::json_response(503, json::serialize(body));
    }
    body["status"] = "ok";
    return http::json_response(200, json::serialize(body));
}

}  // namespace

std::optional<Error> not_ready(const Services& services) {
    if (services.model) {
        return std::nullopt;
    }
    return unavailable("the model is still loading: try again in a moment", "model_loading");
}

http::Task<void> health(http::Exchange& exchange, Services& services) {
    http::Response response = health_response(services);
    co_await exchange.respond(std::move(response));
}

}  // namespace gantry::engine_server
