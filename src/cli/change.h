#pragma once
// Verbs that change deployments that exist: start, stop, sleep, scale.

#include <string>
#include <vector>

#include "base/json.h"
#include "cli/context.h"

namespace gantry::cli {

struct Change {
    json::object body;              // of the PATCH
    std::string act{};              // instead of it a POST to this, below the deployment: "sleep"
    std::string done;               // "{name} {done}" when it went well: "is stopping"
    bool wait = false;              // until it runs
};
// Applies the change to each name; goes on after one fails. kDone only when all went well.
int change_deployments(const Context& context, const std::vector<std::string>& names, const Change& change);

}  // namespace gantry::cli
