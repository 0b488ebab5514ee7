#pragma once
// A device: one accelerator, or the CPU with the machine's memory, on a worker.

#include <cstdint>
#include <string>

namespace gantry {

struct Device {
    std::string vendor;                 // "cpu", "nvidia", ...
    uint32_t index = 0;                 // among the worker's devices of this vendor
    std::string name;                   // "AMD EPYC 9755", ...
    uint64_t memory_total_bytes = 0;    // CPU: the machine's, or the cgroup's limit where that is smaller
    uint64_t memory_free_bytes = 0;     // available now
    uint32_t cores = 0;                 // CPU: usable by this process (affinity and cgroup quota)
    double utilization = 0;             // 0..1, over the time since the last report
    std::string details;                // instruction sets, driver versions; for a person
    std::string problem;                // empty: healthy

    bool operator==(const Device&) const = default;
};

}  // namespace gantry
