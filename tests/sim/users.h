#pragma once
// What people do: deploy, scale, update, roll back, stop, start, delete; join machines, cordon, drain and remove them. Operations as the
// management API's handlers do them, one at a time, at random; what was answered goes into the ledger.

#include <functional>

#include "sim/ledger.h"
#include "sim/sim_server.h"

namespace gantry::sim {

class Users {
public:
    struct Most {
        size_t deployments = 12;
        uint32_t replicas = 4;
    };
    // `program`: where a llama-server is, for deployments on accelerators.
    Users(World& world, SimServer& server, std::vector<std::unique_ptr<SimWorker>>& workers, Ledger& ledger, Bug bug, std::string program, Most most);

    void prepare();             // models and a join token; before the first join
    bool join(SimWorker& worker);
    void deploy();
    void act();                 // one operation; nothing happens while the server is down
    uint64_t acknowledged() const { return acknowledged_; }

private:
    using Change = std::function<void(Deployment&)>;
    void edit(const Change& change);          // of fields
    void change_some(const Change& whole);    // the whole of it: version and all
    void roll_back();
    void remove();
    void edit_worker(const std::function<void(Worker&)>& change);
    void remove_worker();
    void join_again();
    // What became of it. False: it may have been done or not.
    bool acknowledge(const Status& status, const char* what, const std::string& name);
    std::vector<Deployment> deployments() const;
    std::string some_model();

    World& world_;
    SimServer& server_;
    std::vector<std::unique_ptr<SimWorker>>& workers_;
    Ledger& ledger_;
    const Bug bug_;
    const std::string program_;
    const Most most_;
    uint64_t names_ = 0, keys_ = 0, acknowledged_ = 0;
};

}  // namespace gantry::sim
