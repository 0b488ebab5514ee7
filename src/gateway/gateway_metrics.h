#pragma once
// The gateway's metrics, with the counters at hand so that a request takes no lock to find them. Labels are bounded: models
// are named only once they were found in the route table, and at most kModelsMax of them; statuses are those we send.
// Threads: the io thread.

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/clock.h"
#include "base/metrics.h"
#include "domain/usage.h"
#include "protocol/openai/responses.h"

namespace gantry::gateway {

// The gaps between the token events of one stream, gathered in its own buckets: a gateway relays tens of thousands of events a
// second, and each costs a few nanoseconds here. They enter the histogram together when the stream ends.
class TokenGaps {
public:
    // `events` have come so far, the last ones now. Those that came together are no time apart.
    void add(SteadyTime now, uint32_t events);
    uint32_t events() const { return events_; }
    void observe_in(prometheus::Histogram& histogram) const;

private:
    uint32_t events_ = 0;
    SteadyTime last_{};
    double sum_s_ = 0;
    std::array<uint32_t, metrics::kSecondsBounds.size() + 1> counts_{};
};

class GatewayMetrics {
public:
    static constexpr size_t kModelsMax = 256;   // further ones are counted as "other"

    GatewayMetrics();
    void request_done(const std::string& operation, int status);
    void first_token(const std::string& model, double seconds);
    void gaps(const std::string& model, const TokenGaps& gaps);
    void timings(const std::string& model, const protocol::openai::AnswerTimings& timings);
    // A request that reached an engine has ended: its tokens, and its time if it was answered whole.
    void ended(const UsageRecord& record, Duration took);
    // What an answer says that it heard or drew.
    void media(const std::string& model, double audio_seconds, uint32_t images);
    void breaker_opened(const std::string& model) { of(model).breaker_opened->Increment(); }
    void queue_full(const std::string& model) { of(model).queue_full->Increment(); }
    // From the first request that was held to the first target.
    void woke(const std::string& model, Duration took) { of(model).wake->Observe(std::chrono::duration<double>(took).count()); }
    void fell_back() { fallbacks_.Increment(); }
    void retried() { retries_.Increment(); }
    prometheus::Gauge& in_flight() { return in_flight_; }
    prometheus::Gauge& held() { return held_; }

private:
    struct OfModel {
        prometheus::Histogram* first_token;
        prometheus::Histogram* gaps;
        prometheus::Histogram* whole;
        prometheus::Histogram* queue;
        prometheus::Histogram* prefill;
        prometheus::Histogram* decode;
        prometheus::Histogram* wake;
        prometheus::Counter* prompt;
        prometheus::Counter* completion;
        prometheus::Counter* cached;
        prometheus::Counter* reasoning;
        prometheus::Counter* breaker_opened;
        prometheus::Counter* queue_full;
        prometheus::Counter* audio_seconds;
        prometheus::Counter* images;
    };
    OfModel& of(const std::string& model);

    std::map<std::pair<std::string, int>, prometheus::Counter*> requests_;
    std::unordered_map<std::string, OfModel> models_;
    prometheus::Gauge& in_flight_;
    prometheus::Gauge& held_;
    prometheus::Counter& retries_;
    prometheus::Counter& fallbacks_;
};

}  // namespace gantry::gateway
