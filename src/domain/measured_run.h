#pragma once
// One finished or running instance: what was estimated for it and the most it took.

#include <cstdint>
#include <string>

#include "base/ids.h"
#include "domain/deployment.h"

namespace gantry {

struct MeasuredRun {
    InstanceId instance_id{};
    std::string deployment{};        // its name
    BackendKind backend = BackendKind::kEngine;
    std::string architecture{};
    std::string source{};            // of the model
    std::string vendor = "cpu";    // of its devices
    uint64_t estimate_bytes = 0;   // uncorrected
    uint64_t peak_bytes = 0;
};

}  // namespace gantry
