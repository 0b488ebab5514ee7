#include "gateway/gateway_metrics.h"

namespace gantry::gateway {

GatewayMetrics::GatewayMetrics()
    : in_flight_(metrics::gauge("gantry_gateway_requests_in_flight", "Inference requests being answered now.")),
      retries_(metrics::counter("gantry_gateway_retries_total", "Requests sent to another instance after the first failed.")),
      fallbacks_(metrics::counter("gantry_gateway_fallbacks_total", "Requests of a route sent to its fallback after the target chosen failed.")) {}

void GatewayMetrics::request_done(const std::string& operation, int status) {
    prometheus::Counter*& counter = requests_[{operation, status}];
    if (counter == nullptr) {
        counter = &metrics::counter("gantry_gateway_requests_total", "Inference requests by operation and HTTP status.",
                                    {{"operation", operation}, {"status", std::to_string(status)}});
    }
    counter->Increment();
}

GatewayMetrics::OfModel& GatewayMetrics::of(const std::string& model) {
    const auto found = models_.find(model);
    if (found != models_.end()) return found->second;
    if (models_.size() >= kModelsMax && model != "other") return of("other");
    const char* const help = "Tokens of prompts read and of answers written.";
    const auto tokens = [&](const char* direction) {
        return &metrics::counter("gantry_gateway_tokens_total", help, {{"model", model}, {"direction", direction}});
    };
    OfModel counters{};
    counters.first_token = &metrics::seconds("gantry_gateway_time_to_first_token_seconds",
                                             "From a request's head to the first token passed on.", {{"model", model}});
    counters.prompt = tokens("prompt");
    counters.completion = tokens("completion");
    counters.breaker_opened = &metrics::counter("gantry_gateway_breaker_opened_total",
                                                "Times that an instance got no more requests for a while, since it failed in a row.",
                                                {{"model", model}});
    counters.queue_full = &metrics::counter("gantry_gateway_queue_full_total",
                                            "Requests refused because all instances had as many as they may.", {{"model", model}});
    return models_.emplace(model, counters).first->second;
}

void GatewayMetrics::first_token(const std::string& model, double seconds) { of(model).first_token->Observe(seconds); }

void GatewayMetrics::tokens(const std::string& model, uint32_t prompt, uint32_t completion) {
    OfModel& counters = of(model);
    counters.prompt->Increment(prompt);
    counters.completion->Increment(completion);
}

}  // namespace gantry::gateway
