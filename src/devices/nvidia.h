#pragma once
// NVIDIA's two doors, apart for the tests: its management library (NVML), and where that can't be loaded, nvidia-smi.

#include <cstdint>
#include <optional>
#include <string>

#include "devices/prober.h"

namespace gantry::devices {

inline constexpr uint32_t kPartsFrom = 1000;   // indices of the parts (MIG) of GPU 0; the next GPU's begin so much later

// Loads `library` ("libnvidia-ml.so.1"). Nothing: it can't be loaded at all. Else what it says, or a note with its error.
std::optional<Finding> probe_nvml(const std::string& library, Tools& tools);
Finding probe_nvidia_smi(Tools& tools);   // nvidia_smi.cc

}  // namespace gantry::devices
