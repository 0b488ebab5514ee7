#pragma once
// From what an instance should run to a running process, in the order that leaves no orphan and no double behind, wherever
// this process dies: the lock is taken, the record is committed, the engine is spawned with the lock, the record says its pid.

#include <optional>
#include <string>

#include "base/ids.h"
#include "base/platform/process.h"
#include "base/result.h"
#include "protocol/worker/messages.h"
#include "worker/instance_folder.h"
#include "worker/processes.h"
#include "worker/worker.h"

namespace gantry::worker {

struct LaunchContext {
    std::string run_dir;
    std::string packed_dir;               // <data_dir>/packed: what engines keep of models between starts
    std::string gantry_binary;
    RandomSource& random;
    const SupervisionPolicy& policy;
    const std::vector<Device>& devices;   // as last probed
    Processes& processes;
    const WorkerId& worker;               // this one
    const std::string& data_address;      // as in WorkerOptions
};

struct Launched {
    InstanceRecord record;
    platform::UniqueFd watch;
};
// kConflict: processes of a former run still hold the lock. kInvalidArgument: the options can't work. Else: what failed.
// `model_path`: the file or folder that the spec's source stands for on this machine.
Result<Launched> launch_engine(const LaunchContext& context, const protocol::InstanceSpec& spec, const std::string& model_path,
                               const InstanceFolder& folder, uint32_t restarts);

// Reads the model file's header, where the backend needs one. The error's text is what the user sees. May take long (disk).
Status check_model(const protocol::InstanceSpec& spec, const std::string& model_path);

}  // namespace gantry::worker
