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

void update(const engine::EngineStats& stats) {
    namespace m = gantry::metrics;
    m::gauge("gantry_engine_sequences_running", "Sequences being computed").Set(stats.running);
    m::gauge("gantry_engine_sequences_waiting", "Sequences in the queue").Set(stats.waiting);
    m::gauge("gantry_engine_kv_cells_used", "KV cells that hold a token").Set(stats.kv_cells_used);
    m::gauge("gantry_engine_kv_cells", "KV cells there are").Set(stats.kv_cells);
    m::gauge("gantry_engine_last_step_seconds", "How long the last step took")
        .Set(stats.last_step_ms / 1000);
    raise_to(m::counter("gantry_engine_prompt_tokens_total", "Tokens of prompts"),
             stats.prompt_tokens_total);
    raise_to(m::counter("gantry_engine_generated_tokens_total", "Tokens generated"),
             stats.generated_tokens_total);
    raise_to(
        m::counter("gantry_engine_preemptions_total", "Sequences put back for want of KV cells"),
        stats.preemptions_total);
    raise_to(m::counter("gantry_engine_steps_total", "Steps of the engine's loop"),
             stats.steps_total);
}

}  // namespace

http::Task<void> metrics(http::Exchange& exchange, Services& services) {
    if (services.model) {
        update(services.model->engine->stats());
    }
    http::Response response = http::text_response(200, gantry::metrics::text());
    response.headers.set("content-type", "text/plain; version=0.0.4");
    co_await exchange.respond(std::move(response));
}

}  // namespace gantry::engine_server
