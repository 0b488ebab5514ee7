#pragma once
// What a worker does with processes. The machine's own, or those that the simulator plays (tests/sim); files and locks are real
// in both. Each function is the one of its name in base/platform/process.h, unless it says more. Threads: the worker's io thread.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/platform/process.h"

namespace gantry::worker {

class Processes {
public:
    virtual ~Processes() = default;
    virtual Result<platform::Spawned> spawn(const platform::SpawnRequest& request) = 0;
    virtual Result<platform::UniqueFd> watch(const platform::ProcessId& id) = 0;
    virtual std::optional<platform::ProcessExit> reap(int64_t pid) = 0;
    virtual bool holds_pid(const platform::ProcessId& id) = 0;
    virtual void signal_group(int64_t pid, platform::ProcessSignal signal) = 0;
    virtual void end_child_now(int64_t pid) = 0;
    // Leaders of their groups that were started with this nonce in their environment and have not ended.
    virtual std::vector<platform::ProcessId> leaders_with_nonce(const std::string& nonce) = 0;
    // Ends, with SIGKILL, every other process that has the file open.
    virtual void kill_holders(const std::string& path) = 0;
    virtual std::vector<platform::GroupMemory> group_memory(const std::vector<int64_t>& groups) = 0;
    virtual uint64_t out_of_memory_kills() = 0;
    virtual Result<uint16_t> free_port(const std::string& address) = 0;
};
Processes& own_processes();   // of the machine that this runs on

}  // namespace gantry::worker
