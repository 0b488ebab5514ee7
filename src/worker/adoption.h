#pragma once
// Finding again what a former process of this worker left: for each instance's folder, is its engine alive, and which process
// is it? The lock says whether anything of it lives; pid, start time and boot say which process; where the former worker died
// between the spawn and its note of it, the nonce does.

#include <optional>

#include "worker/instance_folder.h"
#include "worker/processes.h"

namespace gantry::worker {

struct Adoption {
    std::optional<InstanceRecord> record;   // none: unreadable, or never written
    platform::UniqueFd watch;               // valid: record->process runs and is to be adopted
    bool held = false;                      // processes of it live (to be ended, when there is no watch)
};
Adoption examine_folder(const InstanceFolder& folder, Processes& processes);

}  // namespace gantry::worker
