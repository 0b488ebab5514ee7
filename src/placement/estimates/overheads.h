#pragma once
// What a vendor's runtime takes on a device beside weights, KV and activations, as documented or measured by others; the table in
// overheads.cc names the source of each number.

#include <cstdint>
#include <string>

namespace gantry::placement {

struct DeviceOverhead {
    const char* vendor = "";
    uint64_t context_bytes = 0;        // on each device: the driver's context, kernels, the math libraries' workspaces
    uint64_t communication_bytes = 0;  // on each device of several that compute together: NCCL's, HCCL's buffers
    uint64_t graph_bytes = 0;          // of captured graphs (vLLM, SGLang)
    uint64_t host_bytes = 0;           // of the machine's memory: libraries
};
const DeviceOverhead& device_overhead(const std::string& vendor);   // of an unknown one: the largest numbers

}  // namespace gantry::placement
