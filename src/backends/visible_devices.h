#pragma once
// By which environment variable a vendor's runtime shows a process some of its devices only: one table for all backends.
//
// Sources: the CUDA C++ programming guide (CUDA_VISIBLE_DEVICES, CUDA_DEVICE_ORDER; NVIDIA's MIG guide for naming a part by
// its uuid), ROCm's "GPU isolation techniques" (HIP_VISIBLE_DEVICES), CANN's reference of environment variables
// (ASCEND_RT_VISIBLE_DEVICES), and for the others the table of vendors in FlagOS' documents: Hygon's DTK reads HIP's
// variable, Moore Threads has MUSA_VISIBLE_DEVICES, Cambricon MLU_VISIBLE_DEVICES, Iluvatar's and MetaX's CUDA layers read
// CUDA's. Apple's GPU can't be hidden. Not tested on hardware.

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "domain/deployment.h"
#include "domain/device.h"
#include "domain/placement.h"

namespace gantry::backends {

// "CUDA_VISIBLE_DEVICES"; empty: the vendor has none.
std::string_view visible_devices_variable(std::string_view vendor);

// What is claimed on accelerators, in the order of the ranks.
std::vector<DeviceClaim> accelerator_claims(const Placement& placement);

// "0,3"; of shared-out NVIDIA devices their uuids: "MIG-5f3c…". Empty: a CPU.
std::string device_list(const Placement& placement, const std::vector<Device>& devices);

// The variables that show an engine only what is claimed; none for a CPU.
std::map<std::string, std::string> visible_devices(const Placement& placement, const std::vector<Device>& devices);

// Refuses those variables in options.env: an engine that chose for itself would compute on devices that are booked for others.
Status check_visible_devices(const BackendOptions& options);

}  // namespace gantry::backends
