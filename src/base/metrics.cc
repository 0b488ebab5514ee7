#include "base/metrics.h"

#include <prometheus/text_serializer.h>

namespace gantry::metrics {

prometheus::Registry& registry() {
    static prometheus::Registry instance;
    return instance;
}

prometheus::Counter& counter(const std::string& name, const std::string& help, const Labels& labels) {
    return prometheus::BuildCounter().Name(name).Help(help).Register(registry()).Add(labels);
}

prometheus::Gauge& gauge(const std::string& name, const std::string& help, const Labels& labels) {
    return prometheus::BuildGauge().Name(name).Help(help).Register(registry()).Add(labels);
}

prometheus::Histogram& seconds(const std::string& name, const std::string& help, const Labels& labels) {
    static const prometheus::Histogram::BucketBoundaries bounds(kSecondsBounds.begin(), kSecondsBounds.end());
    return prometheus::BuildHistogram().Name(name).Help(help).Register(registry()).Add(labels, bounds);
}

std::string text() { return prometheus::TextSerializer().Serialize(registry().Collect()); }

}  // namespace gantry::metrics
