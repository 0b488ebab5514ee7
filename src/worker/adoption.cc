#include "worker/adoption.h"

#include "base/log.h"
#include "base/platform/file_lock.h"

namespace gantry::worker {

Adoption examine_folder(const InstanceFolder& folder) {
    Adoption found;
    Result<InstanceRecord> record = folder.read_record();
    {
        const Result<platform::FileLock> lock = platform::FileLock::try_lock(folder.lock_path());
        found.held = !lock.ok() && lock.error().code == ErrorCode::kConflict;
    }
    if (!record.ok()) {
        return found;
    }
    found.record = std::move(*record);
    if (!found.held) {
        return found;
    }
    if (found.record->process.pid == 0) {
        // Its engine leads the session that the spawn made; what the engine started has the same nonce, and another pid than
        // its group's, which signal_group() would miss. Adopt the leader only.
        for (const platform::ProcessId& process : platform::find_by_environment(kNonceVariable, found.record->nonce)) {
            if (platform::is_group_leader(process.pid)) {
                found.record->process = process;
            }
        }
    }
    Result<platform::UniqueFd> watch = platform::watch_process(found.record->process);
    if (watch.ok()) {
        found.watch = std::move(*watch);
    }
    return found;
}

void kill_lock_holders(const InstanceFolder& folder) {
    for (const platform::ProcessId& process : platform::find_by_open_file(folder.lock_path())) {
        log::warn("ending process {}, left behind by an engine that is gone", process.pid);
        platform::kill_process(process);
    }
}

}  // namespace gantry::worker
