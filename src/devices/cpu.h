#pragma once
// The CPU with the machine's memory, as one device, read from /proc and /sys.

#include <cstdint>
#include <string>

#include "domain/device.h"

namespace gantry::devices {

class CpuProber {
public:
    // `root` stands before /proc and /sys, for recorded files; `affinity_cores` 0: ask this machine.
    explicit CpuProber(std::string root = "", uint32_t affinity_cores = 0)
        : root_(std::move(root)), affinity_cores_(affinity_cores) {}

    // Utilization is over the time since the last call, 0 in the first one.
    Device probe();

private:
    double utilization();

    const std::string root_;
    const uint32_t affinity_cores_;
    std::string name_;
    std::string details_;
    uint64_t last_busy_ = 0;
    uint64_t last_total_ = 0;
};

}  // namespace gantry::devices
