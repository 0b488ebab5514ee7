#pragma once
// From a model's name to its entry in the route table. Pure.

#include <string>

#include "base/result.h"
#include "gateway/tables.h"

namespace gantry::gateway {

// kNotFound "model_not_found", or kUnavailable "no_ready_instance" with the reason; the pointer lives as long as `table`.
Result<const ModelEntry*> resolve(const RouteTable& table, const std::string& name);

// Seconds for Retry-After when resolve() said kUnavailable; 0: retrying alone won't help (somebody stopped the model).
int retry_after_s(const RouteTable& table, const std::string& name);

}  // namespace gantry::gateway
