#pragma once
// What devices did over time. Whatever nobody measured is absent, never 0.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"

namespace gantry {

// Of a span of time: means of what was measured in it.
struct DeviceFigures {
    std::optional<uint64_t> memory_used_bytes{};
    std::optional<double> utilization{};            // 0..1
    std::optional<double> utilization_max{};        // the highest measured
    std::optional<double> temperature_celsius{};

    bool operator==(const DeviceFigures&) const = default;
};

// A quarter of an hour of one device, as it is stored. A device is known by its place: another card in it goes on where the one
// before it ended.
struct DeviceQuarter {
    WorkerId worker_id;
    std::string vendor{};
    uint32_t index = 0;
    WallTime at{};                                  // its start
    uint32_t minutes = 0;                           // 1..15 of it were measured
    DeviceFigures figures{};

    bool operator==(const DeviceQuarter&) const = default;
};

// The devices of a worker over a span of time, in steps of the same length.
struct DeviceCourses {
    struct Course {
        std::string vendor{};
        uint32_t index = 0;
        std::vector<DeviceFigures> steps{};         // as many of each device
    };
    std::optional<WallTime> measured_since{};       // of any of them; nullopt: nothing was measured yet
    WallTime from{};                                // the start of the first step
    std::chrono::minutes step{1};
    std::vector<Course> devices{};                  // those measured in this span, by vendor and index
};

}  // namespace gantry
