#pragma once
// The engine core's metrics; docs/metrics.md says what they mean.

#include <string>

#include "base/metrics.h"
#include "engine/engine_core.h"

namespace gantry::engine {

// Looked up once; the step only touches atomics.
struct EngineCore::Metrics {
    prometheus::Histogram& admit = verb("admit");
    prometheus::Histogram& plan = verb("plan");
    prometheus::Histogram& forward = verb("forward");
    prometheus::Histogram& sample = verb("sample");
    prometheus::Histogram& publish = verb("publish");
    prometheus::Histogram& first_token =
        metrics::seconds("gantry_engine_time_to_first_token_seconds", "From a request to its first token.");
    prometheus::Gauge& running = metrics::gauge("gantry_engine_sequences_running", "Sequences that hold a slot.");
    prometheus::Gauge& waiting = metrics::gauge("gantry_engine_sequences_waiting", "Sequences that wait for admission.");
    prometheus::Gauge& kv_usage = metrics::gauge("gantry_engine_kv_usage_ratio", "Share of the KV cells in use, 0 to 1.");
    prometheus::Counter& prompt_tokens = metrics::counter("gantry_engine_prompt_tokens_total", "Prompt tokens taken in.");
    prometheus::Counter& generated_tokens = metrics::counter("gantry_engine_generated_tokens_total", "Tokens published.");
    prometheus::Counter& cached_tokens =
        metrics::counter("gantry_engine_cached_tokens_total", "Prompt tokens whose KV was there already.");
    prometheus::Counter& drafted_tokens = metrics::counter("gantry_engine_drafted_tokens_total", "Guessed tokens that were computed.");
    prometheus::Counter& accepted_tokens = metrics::counter("gantry_engine_accepted_tokens_total", "Guessed tokens that were right.");
    prometheus::Gauge& cached_cells =
        metrics::gauge("gantry_engine_kv_cached_ratio", "Share of the KV cells kept of ended sequences, 0 to 1.");
    prometheus::Counter& evicted_cells =
        metrics::counter("gantry_engine_kv_evicted_cells_total", "KV cells of ended sequences given up for others.");
    prometheus::Gauge& threads = metrics::gauge("gantry_engine_compute_threads", "Threads that compute a step: fewer beside busy neighbours.");
    prometheus::Counter& preemptions =
        metrics::counter("gantry_engine_preemptions_total", "Sequences put back because KV cells ran out.");

    static prometheus::Histogram& verb(const std::string& name) {
        return metrics::seconds("gantry_engine_step_seconds", "Time of an engine step, by its five verbs.", {{"verb", name}});
    }
};

}  // namespace gantry::engine
