#pragma once
// A device: one accelerator (or a part of one that is shared out as a device, as NVIDIA's MIG does), or the CPU with the machine's
// memory, on a worker. What its vendor's tool says; a number that the tool does not tell is absent, never 0.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"

namespace gantry {

// A process that holds memory of a device, as far as the vendor's tool tells.
struct DeviceProcess {
    int64_t pid = 0;                 // on the machine; a process of another container may have a number that is unknown here
    std::string name{};                // empty: the tool does not say
    uint64_t memory_bytes = 0;
    InstanceId instance_id{};          // ours: the instance that it belongs to; empty: somebody else's

    bool operator==(const DeviceProcess&) const = default;
};

// How two devices of a worker reach each other.
struct DeviceLink {
    uint32_t to = 0;                 // index of a device of the same vendor on the same worker
    std::string kind{};                // the vendor's word: "NV12", "HCCS", "XGMI", "PIX", "PHB", "SYS"

    bool operator==(const DeviceLink&) const = default;
};

// Of the CPU: cores with memory of their own. Of the whole machine, whatever a control group leaves of it.
struct NumaNode {
    uint32_t node = 0;                  // the system's number, which Device::numa_node of an accelerator names
    std::string cores{};                // "0-31,64-95"
    std::optional<uint32_t> core_count{};          // 0: memory alone, as CXL's is
    std::optional<uint64_t> memory_total_bytes{};
    std::optional<uint64_t> memory_free_bytes{};   // that nobody uses, files' pages neither
    std::vector<uint32_t> distances{};  // to each node of the list, in its order, as the firmware says: 10 to itself; empty: it does not

    bool operator==(const NumaNode&) const = default;
};

struct Device {
    std::string vendor{};                 // "cpu", "nvidia", "amd", "apple", "ascend", "hygon", "mthreads", "iluvatar", "cambricon", "metax"
    uint32_t index = 0;                 // among the worker's devices of this vendor: what the vendor's *_VISIBLE_DEVICES takes
    std::string name{};                   // "AMD EPYC 9755", "NVIDIA A100-SXM4-80GB", "Ascend 910B3"
    std::string uuid{};                   // the vendor's own lasting id; empty: it has none
    std::string chip{};                   // what backends decide by: "sm_80", "gfx942", "910B", "310P"; empty: unknown
    uint64_t memory_total_bytes = 0;    // CPU: the machine's, or the cgroup's limit where that is smaller
    uint64_t memory_free_bytes = 0;     // available now
    bool unified_memory = false;        // its memory is the machine's: what it takes is missing there
    uint32_t cores = 0;                 // CPU: usable by this process (affinity and cgroup quota)
    double utilization = 0;             // 0..1, over the time since the last report
    std::optional<double> temperature_celsius{};
    std::string driver_version{};         // empty: the tool does not say; the same below
    std::string runtime_version{};        // "CUDA 12.4", "CANN 8.0.RC2", "ROCm 6.2"
    std::string bus_address{};            // PCI: "0000:c1:00.0"
    std::optional<uint32_t> numa_node{};
    std::vector<NumaNode> numa_nodes{};   // the CPU's, by their numbers; empty: one, or the system does not say
    std::string network_address{};        // of its own network port (Ascend's RoCE); empty: it has none, or nobody says
    std::string partition{};              // of a shared-out device: what it is a part of and which: "GPU-5f3c… 1g.10gb"
    std::vector<DeviceLink> links{};
    std::vector<DeviceProcess> processes{};
    std::string details{};                // instruction sets; for a person
    std::string problem{};                // empty: healthy; else nothing new is placed on it

    bool operator==(const Device&) const = default;
};

}  // namespace gantry
