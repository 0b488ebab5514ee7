#include "gateway/gateway_metrics.h"

#include <algorithm>
#include <vector>

namespace gantry::gateway {

void TokenGaps::add(SteadyTime now, uint32_t events) {
    if (events <= events_) return;
    const uint32_t together = events - events_ - 1;
    counts_[0] += together;
    if (events_ > 0) {   // the first one's wait is the time to first token
        const double gap_s = std::chrono::duration<double>(now - last_).count();
        const auto& bounds = metrics::kSecondsBounds;
        ++counts_[static_cast<size_t>(std::find_if(bounds.begin(), bounds.end(), [&](double bound) { return gap_s <= bound; }) - bounds.begin())];
        sum_s_ += gap_s;
    }
    events_ = events;
    last_ = now;
}

void TokenGaps::observe_in(prometheus::Histogram& histogram) const {
    histogram.ObserveMultiple(std::vector<double>(counts_.begin(), counts_.end()), sum_s_);
}

GatewayMetrics::GatewayMetrics()
    : in_flight_(metrics::gauge("gantry_gateway_requests_in_flight", "Inference requests being answered now.")),
      held_(metrics::gauge("gantry_gateway_requests_held", "Inference requests that wait for a model to wake.")),
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
    const auto seconds = [&](const char* name, const char* help_text) { return &metrics::seconds(name, help_text, {{"model", model}}); };
    counters.first_token = seconds("gantry_gateway_time_to_first_token_seconds", "From a request's head to the first token passed on.");
    counters.gaps = seconds("gantry_gateway_inter_token_seconds", "Between two token events of a stream, as they came to the gateway.");
    counters.whole = seconds("gantry_gateway_request_seconds", "From a request's head to the end of its answer, of those answered whole.");
    counters.queue = seconds("gantry_gateway_queue_seconds", "In the engine, until the prompt's first token was computed.");
    counters.prefill = seconds("gantry_gateway_prefill_seconds", "In the engine, from then to the answer's first token.");
    counters.decode = seconds("gantry_gateway_decode_seconds", "In the engine, from the answer's first token to its last.");
    counters.wake = seconds("gantry_gateway_wake_seconds", "From the first request that waited for a sleeping model until it served.");
    const auto count = [&](const char* name, const char* help_text) { return &metrics::counter(name, help_text, {{"model", model}}); };
    counters.cached = count("gantry_gateway_cached_tokens_total", "Tokens of prompts that the engine had cached.");
    counters.reasoning = count("gantry_gateway_reasoning_tokens_total", "Tokens of answers that were reasoning.");
    counters.prompt = tokens("prompt");
    counters.completion = tokens("completion");
    counters.breaker_opened = &metrics::counter("gantry_gateway_breaker_opened_total",
                                                "Times that an instance got no more requests for a while, since it failed in a row.",
                                                {{"model", model}});
    counters.queue_full = &metrics::counter("gantry_gateway_queue_full_total",
                                            "Requests refused because all instances had as many as they may.", {{"model", model}});
    counters.audio_seconds = &metrics::counter("gantry_gateway_audio_seconds_total", "Seconds of recordings that answers say they heard.",
                                               {{"model", model}});
    counters.images = &metrics::counter("gantry_gateway_images_total", "Images in answers.", {{"model", model}});
    return models_.emplace(model, counters).first->second;
}

void GatewayMetrics::first_token(const std::string& model, double seconds) { of(model).first_token->Observe(seconds); }

void GatewayMetrics::media(const std::string& model, double audio_seconds, uint32_t images) {
    if (audio_seconds > 0) of(model).audio_seconds->Increment(audio_seconds);
    if (images > 0) of(model).images->Increment(images);
}

void GatewayMetrics::gaps(const std::string& model, const TokenGaps& gaps) {
    if (gaps.events() > 1) gaps.observe_in(*of(model).gaps);
}

void GatewayMetrics::timings(const std::string& model, const protocol::openai::AnswerTimings& timings) {
    OfModel& counters = of(model);
    counters.queue->Observe(timings.queue_ms / 1000);
    counters.prefill->Observe(timings.prefill_ms / 1000);
    counters.decode->Observe(timings.decode_ms / 1000);
}

void GatewayMetrics::ended(const UsageRecord& record, Duration took) {
    request_done(record.operation, record.status);
    OfModel& counters = of(record.model);
    counters.prompt->Increment(record.prompt_tokens);
    counters.completion->Increment(record.completion_tokens);
    counters.cached->Increment(record.cached_tokens);
    counters.reasoning->Increment(record.reasoning_tokens);
    if (record.status == 200 && !record.aborted) counters.whole->Observe(std::chrono::duration<double>(took).count());
}

}  // namespace gantry::gateway
