#pragma once
// The control plane's gauges, set when somebody asks for them. Labels are bounded: states, and names of rows that admins made; the
// series of a row that is gone goes with it. Threads: one at a time (the publisher's lock).

#include <prometheus/family.h>
#include <prometheus/gauge.h>

#include <map>
#include <string>

#include "base/metrics.h"
#include "domain/snapshot.h"

namespace gantry::control {

class ControlMetrics {
public:
    ControlMetrics();
    void show(const Snapshot& view);

private:
    using Family = prometheus::Family<prometheus::Gauge>;
    // Sets the gauges of a family to exactly `values`; series not among them are removed.
    class Series {
    public:
        Series(const std::string& name, const std::string& help);
        void set(const std::map<metrics::Labels, double>& values);
        ~Series();
        Series(const Series&) = delete;
        Series& operator=(const Series&) = delete;

    private:
        Family& family_;
        std::map<metrics::Labels, prometheus::Gauge*> shown_;
    };
    Series deployments_, asleep_, instances_, workers_, models_, replicas_wanted_, replicas_ready_, restarts_, instance_memory_,
        device_total_, device_free_;
};

}  // namespace gantry::control
