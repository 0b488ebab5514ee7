#pragma once
// From a model's name to its entry in the route table. Pure.

#include <string>
#include <vector>

#include "base/result.h"
#include "gateway/tables.h"

namespace gantry::gateway {

// `model`, where a request names one at all.
Result<std::string> named(std::string model);

// kNotFound "model_not_found", or kUnavailable "no_ready_instance" with the reason; the pointer lives as long as `table`. What is
// asleep is found, without targets (waiting_room.h).
Result<const ModelEntry*> resolve(const RouteTable& table, const std::string& name);

// The same of a public name that may be a route's: who is to be asked, in this order, the second only if the first can't. By weight
// among the targets that answer (`uniform`: a random number in [0, 1)), then the fallback. Never empty.
Result<std::vector<const ModelEntry*>> resolve_ways(const RouteTable& table, const std::string& name, double uniform);

// Whether requests are taken: it has targets, or gets some for whoever waits.
bool answers(const ModelEntry& entry);

// A route as a model to show: as its first target that is ready, else as its first that exists.
ModelEntry shown_as_model(const RouteTable& table, const Route& route);

// Seconds for Retry-After when resolve() said kUnavailable; 0: retrying alone won't help (somebody stopped the model).
int retry_after_s(const RouteTable& table, const std::string& name);

}  // namespace gantry::gateway
