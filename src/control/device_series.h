#pragma once
// One device's last day: a sample a minute, 16 bytes each, and the minute that has just begun. Pure; one thread.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>

#include "domain/device.h"
#include "domain/device_history.h"

namespace gantry::control {

using Minute = int64_t;   // since 1970
inline constexpr Minute kMinutesKept = 24 * 60;

inline Minute minute_of(WallTime time) { return std::chrono::floor<std::chrono::minutes>(time).time_since_epoch().count(); }
inline WallTime start_of(Minute minute) { return WallTime(std::chrono::minutes(minute)); }

// Figures taken together: means by their weights, of those only that are there.
class DeviceMeans {
public:
    void add(const DeviceFigures& figures, Minute weight = 1);
    bool empty() const { return memory_.weight + utilization_.weight + temperature_.weight == 0; }
    DeviceFigures figures() const;

private:
    struct Mean {
        double sum = 0;
        Minute weight = 0;
        void add(const std::optional<double>& value, Minute times);
        std::optional<double> value() const;
    };
    Mean memory_{}, utilization_{}, temperature_{};
    std::optional<double> utilization_max_{};
};

class DeviceSeries {
public:
    // What the device's tool told at this minute. After a clock that was set back, what was measured at a later one is forgotten.
    void add(Minute minute, const Device& device);
    void forget_old(Minute now);           // what is older than kMinutesKept
    bool empty() const { return past_.empty() && means_.empty(); }
    std::optional<Minute> first() const;   // nullopt: nothing was measured

    // use(minute, figures) of what was measured in [from, to), in order.
    template <class Use>
    void each(Minute from, Minute to, Use use) const {
        for (auto at = std::lower_bound(past_.begin(), past_.end(), from, before); at != past_.end() && at->minute < to; ++at) {
            use(Minute{at->minute}, at->figures());
        }
        if (!means_.empty() && now_ >= from && now_ < to) use(now_, means_.figures());
    }

private:
    struct Sample {
        Sample(Minute at, const DeviceFigures& figures);
        DeviceFigures figures() const;
        uint64_t memory : 48;                    // bytes
        int64_t temperature : 16;                // 1/10 of a degree Celsius
        uint32_t minute;
        uint16_t utilization, utilization_max;   // 1/10000
    };
    static_assert(sizeof(Sample) == 16);
    static bool before(const Sample& sample, Minute minute) { return sample.minute < minute; }

    std::deque<Sample> past_{};   // by minute, all before now_
    Minute now_ = 0;              // which means_ are of
    DeviceMeans means_{};
};

}  // namespace gantry::control
