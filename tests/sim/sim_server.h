#pragma once
// The server: its data folder (real SQLite files, in memory, under a file layer that fails and loses what was not synced), and now
// and then a process that wires the product's control plane as control.cc does, without HTTP and threads: workers' reports and users'
// operations come as calls, and the reconciler's thread is an event every second and whenever it is notified.

#include <memory>
#include <string>

#include "control/cluster/sessions.h"
#include "control/reconciler.h"
#include "sim/faults.h"
#include "sim/sim_worker.h"
#include "store/sqlite_store.h"

namespace gantry::sim {

class SimServer final : public ServerEnd {
public:
    struct Hooks {
        std::function<void()> poke_workers;
        std::function<void()> turned;       // after a round of the reconciler that went well: the rows are as it wants them
        std::function<void()> started;      // the store is open again
        std::function<void(const control::PlanInput&, const std::vector<control::Action>&)> planned;
    };
    SimServer(World& world, Bug bug, std::string folder, Hooks hooks);
    ~SimServer() override;

    bool up() const override { return process_ != nullptr; }
    uint64_t run() const override { return run_; }
    void start();
    void kill();                              // -9
    void power_off(bool some_writes_survive); // what was never synced is lost, or some of it
    void fail_disk(milliseconds duration);    // writes fail, after some more that succeed

    // REQUIRES: up()
    store::Store& store();
    control::Publisher& publisher();
    gateway::Tables& tables();
    control::KnowledgeSource& knowledge();
    RandomSource& ids();
    void changed();                           // as ApiContext::changed()

    Result<std::string> exchange(const WorkerId& worker, const std::string& body) override;
    bool stream_opened(const WorkerId& worker, const std::string& incarnation) override;
    void stream_closed(const WorkerId& worker, const std::string& incarnation, uint64_t server_run) override;

private:
    struct Process;
    void turn(uint64_t run);
    void turn_soon();
    std::vector<control::Action> plan(const control::PlanInput& input) const;
    void leave_process();

    World& world_;
    const Bug bug_;
    const std::string base_;
    const Hooks hooks_;
    std::string folder_;                      // of the present process; each crash moves to a copy
    uint64_t run_ = 0;
    bool turn_posted_ = false;
    std::unique_ptr<Process> process_;
};

}  // namespace gantry::sim
