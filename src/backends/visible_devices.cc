#include "backends/visible_devices.h"

#include <algorithm>

namespace gantry::backends {
namespace {

struct Row {
    std::string_view vendor;
    std::string_view variable;
};
constexpr Row kRows[] = {
    {"nvidia", "CUDA_VISIBLE_DEVICES"},      {"amd", "HIP_VISIBLE_DEVICES"},        {"ascend", "ASCEND_RT_VISIBLE_DEVICES"},
    {"hygon", "HIP_VISIBLE_DEVICES"},        {"mthreads", "MUSA_VISIBLE_DEVICES"},  {"iluvatar", "CUDA_VISIBLE_DEVICES"},
    {"cambricon", "MLU_VISIBLE_DEVICES"},    {"metax", "CUDA_VISIBLE_DEVICES"},
};
// Other names for the same, read before or beside those above.
constexpr std::string_view kOthers[] = {"CUDA_DEVICE_ORDER", "ROCR_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "NVIDIA_VISIBLE_DEVICES",
                                        "ASCEND_VISIBLE_DEVICES", "NPU_VISIBLE_DEVICES", "MTHREADS_VISIBLE_DEVICES"};

// NVIDIA's go by their index, which all programs take (vLLM no uuid), while CUDA counts as NVML does; where a GPU is cut into MIG devices or
// lost it does not.
bool counts_as_listed(const Device& device) { return device.partition.empty() && device.memory_total_bytes > 0; }

const Device* find_device(const std::vector<Device>& devices, const DeviceName& name) {
    const auto found = std::find_if(devices.begin(), devices.end(), [&name](const Device& device) {
        return device.vendor == name.vendor && device.index == name.index;
    });
    return found == devices.end() ? nullptr : &*found;
}

}  // namespace

std::string_view visible_devices_variable(std::string_view vendor) {
    for (const Row& row : kRows) {
        if (row.vendor == vendor) return row.variable;
    }
    return {};
}

std::vector<DeviceClaim> accelerator_claims(const Placement& placement) {
    std::vector<DeviceClaim> claims;
    for (const DeviceClaim& claim : placement.claims) {
        if (claim.device.vendor != "cpu") claims.push_back(claim);
    }
    return claims;
}

std::string device_list(const Placement& placement, const std::vector<Device>& devices) {
    std::string list;
    const bool by_index = std::all_of(devices.begin(), devices.end(), [](const Device& device) {
        return device.vendor != "nvidia" || counts_as_listed(device);
    });
    for (const DeviceClaim& claim : accelerator_claims(placement)) {
        const Device* device = find_device(devices, claim.device);
        const bool by_uuid = !by_index && claim.device.vendor == "nvidia" && device != nullptr && !device->uuid.empty();
        list.append(list.empty() ? "" : ",").append(by_uuid ? device->uuid : std::to_string(claim.device.index));
    }
    return list;
}

std::map<std::string, std::string> visible_devices(const Placement& placement, const std::vector<Device>& devices) {
    std::map<std::string, std::string> variables;
    const std::vector<DeviceClaim> claims = accelerator_claims(placement);
    if (claims.empty()) return variables;
    const std::string_view variable = visible_devices_variable(claims.front().device.vendor);
    if (variable.empty()) return variables;
    variables[std::string(variable)] = device_list(placement, devices);
    // CUDA counts the fastest first unless told to count as nvidia-smi and NVML do.
    if (claims.front().device.vendor == "nvidia") variables["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID";
    return variables;
}

Status check_visible_devices(const BackendOptions& options) {
    for (const auto& [name, value] : options.env) {
        const bool ours = std::any_of(std::begin(kRows), std::end(kRows), [&](const Row& row) { return row.variable == name; }) ||
                          std::find(std::begin(kOthers), std::end(kOthers), name) != std::end(kOthers);
        if (ours) {
            return invalid_argument(name + " may not be set: the devices are chosen by placement; ask for others by placement.devices",
                                    "options.env." + name);
        }
    }
    return Ok{};
}

}  // namespace gantry::backends
