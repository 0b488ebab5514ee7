#include "base/metrics.h"

#include "engine_server/endpoints/endpoints.h"

namespace gantry::engine_server {
namespace {

void raise_to(prometheus::Counter& counter, uint64_t total) {
    const double missing = static_cast<double>(total) - counter.Value();
    if (missing > 0) {
        counter.Increment(missing);
    }
}

// What the engine core does not keep up itself.
void update(const engine::EngineStats& stats) {
    namespace m = gantry::metrics;
    m::gauge("gantry_engine_kv_cells_used", "KV cells that hold a token").Set(stats.kv_cells_used);
    m::gauge("gantry_engine_kv_cells", "KV cells there are").Set(stats.kv_cells);
    m::gauge("gantry_engine_last_step_seconds", "How long the last step took")
        .Set(stats.last_step_ms / 1000);
    raise_to(m::counter("gantry_engine_steps_total", "Steps of the engine's loop"),
             stats.steps_total);
}

void update(const engine::EmbedderStats& stats) {
    namespace m = gantry::metrics;
    m::gauge("gantry_engine_embedding_inputs_waiting", "Inputs not computed yet").Set(stats.waiting);
    m::gauge("gantry_engine_last_step_seconds", "How long the last step took")
        .Set(stats.last_forward_ms / 1000);
    raise_to(m::counter("gantry_engine_embedding_inputs_total", "Inputs made into vectors"),
             stats.inputs_total);
    raise_to(m::counter("gantry_engine_embedding_tokens_total", "Tokens of those inputs"),
             stats.tokens_total);
    raise_to(m::counter("gantry_engine_embedding_forwards_total", "Forwards that computed them"),
             stats.forwards_total);
}

}  // namespace

http::Task<void> metrics(http::Exchange& exchange, Services& services) {
    if (services.model && services.model->engine) {
        update(services.model->engine->stats());
    }
    if (services.model && services.model->embedder) {
        update(services.model->embedder->stats());
    }
    http::Response response = http::text_response(200, gantry::metrics::text());
    response.headers.set("content-type", "text/plain; version=0.0.4");
    co_await exchange.respond(std::move(response));
}

}  // namespace gantry::engine_server
