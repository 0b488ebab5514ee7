#pragma once
// Follows a deployment over /api/v1/watch until it serves or fails, showing state and load progress.

#include <chrono>
#include <string>

#include "cli/client.h"

namespace gantry::cli {

// Ok: all its replicas run. An error carries the deployment's reason; kDeadlineExceeded after `timeout`.
Status wait_until_running(const ApiClient& client, const std::string& name, bool show_progress,
                          std::chrono::seconds timeout = std::chrono::minutes(30));

// Ok: all its replicas run the wanted revision and nothing else is left. An error where the update was taken back.
Status wait_for_rollout(const ApiClient& client, const std::string& name, bool show_progress, std::chrono::seconds timeout);

}  // namespace gantry::cli
