#pragma once
// The gateway's metrics, with the counters at hand so that a request takes no lock to find them. Labels are bounded: models
// are named only once they were found in the route table, and at most kModelsMax of them; statuses are those we send.
// Threads: the io thread.

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/metrics.h"

namespace gantry::gateway {

class GatewayMetrics {
public:
    static constexpr size_t kModelsMax = 256;   // further ones are counted as "other"

    GatewayMetrics();
    void request_done(const std::string& operation, int status);
    void first_token(const std::string& model, double seconds);
    void tokens(const std::string& model, uint32_t prompt, uint32_t completion);
    void breaker_opened(const std::string& model) { of(model).breaker_opened->Increment(); }
    void queue_full(const std::string& model) { of(model).queue_full->Increment(); }
    void fell_back() { fallbacks_.Increment(); }
    void retried() { retries_.Increment(); }
    prometheus::Gauge& in_flight() { return in_flight_; }

private:
    struct OfModel {
        prometheus::Histogram* first_token;
        prometheus::Counter* prompt;
        prometheus::Counter* completion;
        prometheus::Counter* breaker_opened;
        prometheus::Counter* queue_full;
    };
    OfModel& of(const std::string& model);

    std::map<std::pair<std::string, int>, prometheus::Counter*> requests_;
    std::unordered_map<std::string, OfModel> models_;
    prometheus::Gauge& in_flight_;
    prometheus::Counter& retries_;
    prometheus::Counter& fallbacks_;
};

}  // namespace gantry::gateway
