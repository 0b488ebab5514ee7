#include "worker/processes.h"

#include "base/log.h"
#include "base/platform/memory.h"
#include "worker/instance_folder.h"

namespace gantry::worker {
namespace {

class OwnProcesses final : public Processes {
public:
    Result<platform::Spawned> spawn(const platform::SpawnRequest& request) override { return platform::spawn(request); }
    Result<platform::UniqueFd> watch(const platform::ProcessId& id) override { return platform::watch_process(id); }
    std::optional<platform::ProcessExit> reap(int64_t pid) override { return platform::reap(pid); }
    bool holds_pid(const platform::ProcessId& id) override { return platform::holds_pid(id); }
    void signal_group(int64_t pid, platform::ProcessSignal signal) override { platform::signal_group(pid, signal); }
    void end_child_now(int64_t pid) override { platform::end_child_now(pid); }

    std::vector<platform::ProcessId> leaders_with_nonce(const std::string& nonce) override {
        std::vector<platform::ProcessId> found = platform::find_by_environment(kNonceVariable, nonce);
        std::erase_if(found, [](const platform::ProcessId& process) { return !platform::is_group_leader(process.pid); });
        return found;
    }
    void kill_holders(const std::string& path) override {
        for (const platform::ProcessId& process : platform::find_by_open_file(path)) {
            log::warn("ending process {}, left behind by an engine that is gone", process.pid);
            platform::kill_process(process);
        }
    }
    std::vector<platform::GroupMemory> group_memory(const std::vector<int64_t>& groups) override { return platform::group_memory(groups); }
    uint64_t out_of_memory_kills() override { return platform::out_of_memory_kills(); }
    Result<uint16_t> free_port(const std::string& address) override { return platform::free_port(address); }
};

}  // namespace

Processes& own_processes() {
    static OwnProcesses processes;
    return processes;
}

}  // namespace gantry::worker
