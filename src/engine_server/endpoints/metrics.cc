#include "base/metrics.h"

#include "engine_server/endpoints/endpoints.h"

namespace gantry::engine_server {
namespace {

void raise_to(prometheus::Counter& counter, double total) {
    const double missing = total - counter.Value();
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
             static_cast<double>(stats.steps_total));
}

void update(const engine::EmbedderStats& stats) {
    namespace m = gantry::metrics;
    m::gauge("gantry_engine_embedding_inputs_waiting", "Inputs not computed yet").Set(stats.waiting);
    m::gauge("gantry_engine_last_step_seconds", "How long the last step took")
        .Set(stats.last_forward_ms / 1000);
    raise_to(m::counter("gantry_engine_embedding_inputs_total", "Inputs made into vectors"),
             static_cast<double>(stats.inputs_total));
    raise_to(m::counter("gantry_engine_embedding_tokens_total", "Tokens of those inputs"),
             static_cast<double>(stats.tokens_total));
    raise_to(m::counter("gantry_engine_embedding_forwards_total", "Forwards that computed them"),
             static_cast<double>(stats.forwards_total));
}

void update(const speech::TranscriberStats& stats) {
    namespace m = gantry::metrics;
    m::gauge("gantry_engine_recordings_waiting", "Recordings that wait or are heard").Set(stats.waiting);
    raise_to(m::counter("gantry_engine_recordings_total", "Recordings heard to their end"),
             static_cast<double>(stats.recordings_total));
    raise_to(m::counter("gantry_engine_audio_seconds_total", "Seconds of those recordings"),
             stats.audio_seconds_total);
    raise_to(m::counter("gantry_engine_audio_compute_seconds_total", "How long they took to hear"),
             stats.compute_seconds_total);
}

}  // namespace

http::Task<void> metrics(http::Exchange& exchange, Services& services) {
    if (services.model && services.model->engine) {
        update(services.model->engine->stats());
    }
    if (services.model && services.model->embedder) {
        update(services.model->embedder->stats());
    }
    if (services.model && services.model->transcriber) {
        update(services.model->transcriber->stats());
    }
    http::Response response = http::text_response(200, gantry::metrics::text());
    response.headers.set("content-type", "text/plain; version=0.0.4");
    co_await exchange.respond(std::move(response));
}

}  // namespace gantry::engine_server
