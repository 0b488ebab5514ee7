#pragma once
// What a GPUStack's rows become here, as bodies of the management API; and what can't come along, in words. Pure.

#include <string>
#include <vector>

#include "base/json.h"
#include "store/gpustack.h"

namespace gantry::cli {

struct GpuStackPlan {
    std::vector<json::object> deployments{};   // POST /api/v1/deployments; stopped, unless `start`
    std::vector<json::object> users{};         // POST /api/v1/users, without the password
    std::vector<json::object> routes{};        // POST /api/v1/routes
    std::vector<std::string> notes{};          // what is left out or must be looked at, a line each
};
GpuStackPlan plan_of(const store::GpuStack& from, bool start);

}  // namespace gantry::cli
