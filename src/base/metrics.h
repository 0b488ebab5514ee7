#pragma once
// Prometheus metrics. One registry a process, served at /metrics; own names start with gantry_ and are listed, with their
// labels, in docs/metrics.md. Labels are bounded: never a name that a client made up. Threads: any.

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <array>
#include <map>
#include <string>

namespace gantry::metrics {

using Labels = std::map<std::string, std::string>;

prometheus::Registry& registry();
prometheus::Counter& counter(const std::string& name, const std::string& help, const Labels& labels = {});
prometheus::Gauge& gauge(const std::string& name, const std::string& help, const Labels& labels = {});
inline constexpr std::array<double, 16> kSecondsBounds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                                          0.5,   1,      2.5,   5,    10,    30,   60,  120};
// Buckets of kSecondsBounds.
prometheus::Histogram& seconds(const std::string& name, const std::string& help, const Labels& labels = {});
// The whole registry in Prometheus' text format.
std::string text();

}  // namespace gantry::metrics
