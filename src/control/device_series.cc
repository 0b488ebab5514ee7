#include "control/device_series.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace gantry::control {
namespace {

// What says that a field is absent.
constexpr uint64_t kNoMemory = (uint64_t{1} << 48) - 1;
constexpr int16_t kNoTemperature = std::numeric_limits<int16_t>::min();
constexpr uint16_t kNoShare = std::numeric_limits<uint16_t>::max();
constexpr double kShare = 10'000;
constexpr double kDegree = 10;
constexpr double kTemperatureMax = 3'000;   // either way; no device says more and means it

uint16_t packed_share(const std::optional<double>& value) {
    return value ? static_cast<uint16_t>(std::lround(std::clamp(*value, 0.0, 1.0) * kShare)) : kNoShare;
}
std::optional<double> share(uint16_t packed) { return packed == kNoShare ? std::nullopt : std::optional(packed / kShare); }

// A device in trouble counts only while its tool still measures it, which the temperature shows: of one that is lost the worker
// goes on to say what it was (devices/devices.cc). Of a part of a device no tool tells the load.
DeviceFigures told(const Device& d) {
    DeviceFigures figures;
    if (!d.problem.empty() && !d.temperature_celsius) return figures;
    if (d.memory_total_bytes > 0) figures.memory_used_bytes = d.memory_total_bytes - std::min(d.memory_free_bytes, d.memory_total_bytes);
    if (d.partition.empty() && std::isfinite(d.utilization)) figures.utilization = std::clamp(d.utilization, 0.0, 1.0);
    figures.utilization_max = figures.utilization;
    if (d.temperature_celsius && std::abs(*d.temperature_celsius) <= kTemperatureMax) figures.temperature_celsius = d.temperature_celsius;
    return figures;
}

}  // namespace

void DeviceMeans::Mean::add(const std::optional<double>& value, Minute times) {
    if (!value) return;
    sum += *value * static_cast<double>(times);
    weight += times;
}

std::optional<double> DeviceMeans::Mean::value() const {
    return weight == 0 ? std::nullopt : std::optional(sum / static_cast<double>(weight));
}

void DeviceMeans::add(const DeviceFigures& figures, Minute weight) {
    if (figures.memory_used_bytes) memory_.add(static_cast<double>(*figures.memory_used_bytes), weight);
    utilization_.add(figures.utilization, weight);
    temperature_.add(figures.temperature_celsius, weight);
    if (figures.utilization_max) utilization_max_ = std::max(utilization_max_.value_or(0), *figures.utilization_max);
}

DeviceFigures DeviceMeans::figures() const {
    DeviceFigures out;
    if (const auto memory = memory_.value()) out.memory_used_bytes = static_cast<uint64_t>(std::llround(*memory));
    out.utilization = utilization_.value();
    out.utilization_max = utilization_max_;
    out.temperature_celsius = temperature_.value();
    return out;
}

DeviceSeries::Sample::Sample(Minute at, const DeviceFigures& f)
    : memory(std::min(f.memory_used_bytes.value_or(kNoMemory), kNoMemory) & kNoMemory),
      temperature(f.temperature_celsius ? static_cast<int16_t>(std::lround(*f.temperature_celsius * kDegree)) : kNoTemperature),
      minute(static_cast<uint32_t>(at)),
      utilization(packed_share(f.utilization)),
      utilization_max(packed_share(f.utilization_max)) {}

DeviceFigures DeviceSeries::Sample::figures() const {
    DeviceFigures out;
    if (memory != kNoMemory) out.memory_used_bytes = memory;
    if (temperature != kNoTemperature) out.temperature_celsius = static_cast<double>(temperature) / kDegree;
    out.utilization = share(utilization);
    out.utilization_max = share(utilization_max);
    return out;
}

void DeviceSeries::add(Minute minute, const Device& device) {
    if (minute != now_) {
        if (!means_.empty()) past_.emplace_back(now_, means_.figures());
        while (!past_.empty() && past_.back().minute >= minute) past_.pop_back();
        now_ = minute;
        means_ = {};
        forget_old(minute);
    }
    means_.add(told(device));
}

void DeviceSeries::forget_old(Minute now) {
    while (!past_.empty() && past_.front().minute < now - kMinutesKept) past_.pop_front();
    if (now_ < now - kMinutesKept) means_ = {};
}

std::optional<Minute> DeviceSeries::first() const {
    if (!past_.empty()) return past_.front().minute;
    return means_.empty() ? std::nullopt : std::optional(now_);
}

}  // namespace gantry::control
