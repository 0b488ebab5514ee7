#pragma once
// What a deployment runs and where, as flags: `gantry deploy` and its dry run, `gantry evaluate`, share them.

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "cli/context.h"

namespace gantry::cli {

struct DeploymentFlags {
    std::string backend;         // empty: what the catalogue says of a source of its own, else the engine
    std::string hub;             // of a source of the catalogue; empty: the first that it names
    uint32_t context_tokens = 0;
    uint32_t max_sequences = 0;
    uint32_t threads = 0;
    std::string kv_type;
    std::string binary;
    std::string command;
    std::string health_path;
    std::vector<std::string> env;
    std::vector<std::string> args;
    std::string strategy;
    std::vector<std::string> devices;
    uint32_t device_count = 0;
    std::vector<std::string> device_types;
    std::vector<std::string> worker_labels;
    bool no_offload = false;
    bool across_workers = false;
};
void add_deployment_flags(CLI::App& verb, DeploymentFlags& flags);

// The fields backend, options and placement of the API's deployment. kInvalidArgument names the flag.
Result<json::object> body_of(const DeploymentFlags& flags);

// A plain path becomes file:<absolute>; "scheme:..." stays as it is.
std::string full_source(const std::string& source);
// "NAME=VALUE", each once. kInvalidArgument says which is none; `flag`: "--env".
Result<json::object> pairs_of(const std::vector<std::string>& pairs, const char* flag);

}  // namespace gantry::cli
