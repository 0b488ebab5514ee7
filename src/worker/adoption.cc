#include "worker/adoption.h"

#include "base/platform/file_lock.h"

namespace gantry::worker {

Adoption examine_folder(const InstanceFolder& folder, Processes& processes) {
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
        for (const platform::ProcessId& process : processes.leaders_with_nonce(found.record->nonce)) {
            found.record->process = process;
        }
    }
    Result<platform::UniqueFd> watch = processes.watch(found.record->process);
    if (watch.ok()) {
        found.watch = std::move(*watch);
    }
    return found;
}

}  // namespace gantry::worker
