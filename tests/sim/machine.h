#pragma once
// A machine: devices, and the engines that really run on it, whatever anybody believes. It plays the processes for the real worker's
// code (worker/processes.h); what it holds is the truth that the invariants are checked against.

#include <functional>
#include <map>
#include <set>
#include <vector>

#include "domain/device.h"
#include "sim/faults.h"
#include "protocol/worker/messages.h"
#include "sim/world.h"
#include "worker/health.h"
#include "worker/processes.h"

namespace gantry::sim {

struct Engine {
    platform::ProcessId process;
    InstanceId instance;
    protocol::InstanceSpec spec;         // what it was started with
    std::string nonce, lock_path;
    platform::UniqueFd lock;             // held as long as it lives
    SteadyTime loading_since{}, ready_at{};
    bool hangs = false;                  // answers nobody
    bool ignores_terminate = false;
    bool ending = false;
    std::optional<platform::ProcessExit> ended;   // and not waited for yet
    bool is_child = true;                // of the worker's process that runs now
    double share = 1;                    // of its claims that it really takes

    bool lives() const { return !ended; }
};

class Machine final : public worker::Processes {
public:
    Machine(World& world, const EngineFaults& faults, std::string name, std::vector<Device> devices);

    const std::string& name() const { return name_; }
    const std::map<int64_t, Engine>& engines() const { return engines_; }
    std::vector<Device> devices() const;          // as a report shows them
    uint64_t claimed(const DeviceName& device) const;   // by engines that live
    const std::vector<Device>& built_of() const { return devices_; }

    // What the next spawn of that instance is of; the worker says so when it checks the model.
    void expect(const protocol::InstanceSpec& spec) { expected_[spec.id] = spec; }
    worker::HealthAnswer answer_of(const InstanceId& id, const std::string& endpoint) const;
    // Who hears of ends: the worker's process, if there is one.
    void set_on_end(std::function<void(int64_t pid)> on_end) { on_end_ = std::move(on_end); }
    int64_t watched(int fd) const;                // pid behind a watch; 0: none

    void kill(int64_t pid, bool out_of_memory);   // from outside
    void hang(int64_t pid);
    void worker_died();                           // its engines live on, as nobody's children
    void reboot();                                // all is gone
    int64_t some_engine(World& world) const;      // a living one; 0: none
    uint64_t spawned() const { return static_cast<uint64_t>(last_pid_ - kFirstPid); }

    Result<platform::Spawned> spawn(const platform::SpawnRequest& request) override;
    Result<platform::UniqueFd> watch(const platform::ProcessId& id) override;
    std::optional<platform::ProcessExit> reap(int64_t pid) override;
    bool holds_pid(const platform::ProcessId& id) override;
    void signal_group(int64_t pid, platform::ProcessSignal signal) override;
    void end_child_now(int64_t pid) override;
    std::vector<platform::ProcessId> leaders_with_nonce(const std::string& nonce) override;
    void kill_holders(const std::string& path) override;
    std::vector<platform::GroupMemory> group_memory(const std::vector<int64_t>& groups) override;
    uint64_t out_of_memory_kills() override { return out_of_memory_kills_; }
    Result<uint16_t> free_port(const std::string&) override { return static_cast<uint16_t>(20'000 + ++ports_ % 40'000); }

private:
    Engine* find(int64_t pid);
    const Engine* find(int64_t pid) const { return const_cast<Machine*>(this)->find(pid); }
    void end(int64_t pid, platform::ProcessExit exit);
    void end_after(milliseconds delay, int64_t pid, platform::ProcessExit exit);
    uint64_t taken(const Engine& engine, const DeviceClaim& claim) const;
    platform::UniqueFd watch_handle(int64_t pid);

    World& world_;
    const EngineFaults& faults_;
    const std::string name_;
    const std::vector<Device> devices_;
    std::map<int64_t, Engine> engines_;                   // by pid
    std::map<InstanceId, protocol::InstanceSpec> expected_;
    std::map<int, int64_t> watches_;                      // by handle
    std::function<void(int64_t)> on_end_;
    static constexpr int64_t kFirstPid = 100;
    int64_t last_pid_ = kFirstPid;
    uint64_t boots_ = 1, ports_ = 0, out_of_memory_kills_ = 0;
};

// What a model is, by the name of its file: "bad" ones crash while they load, "refused" ones are no models.
bool is_bad(const std::string& source);
bool is_refused(const std::string& source);

}  // namespace gantry::sim
