#pragma once
// A server, its workers and its users, for a while of faults, then for as long as it takes until all is as it should be. Everything
// is drawn from the seed: the same seed gives the same run.

#include <memory>
#include <optional>
#include <string>

#include "sim/faults.h"
#include "sim/invariants.h"
#include "sim/users.h"

namespace gantry::sim {

struct SimulationOptions {
    uint64_t seed = 1;
    size_t workers = 6;
    size_t deployments = 10;               // at most
    milliseconds storm = 3min;             // faults and users
    milliseconds calm = 10min;             // then at most so long until all has converged
    double intensity = 1;                  // faults and operations, for each worker and deployment
    Bug bug = Bug::kNone;
};

class Simulation {
public:
    explicit Simulation(const SimulationOptions& options);
    ~Simulation();

    std::optional<Violation> run();

    std::string story() const { return world_.story(); }
    std::string summary() const;           // what happened, in one line
    uint64_t fingerprint() const { return world_.fingerprint(); }
    struct Counts {
        uint64_t server_kills = 0, power_cuts = 0, disk_faults = 0, worker_kills = 0, cuts = 0, engine_faults = 0, operations = 0, engines = 0;
    };
    Counts counts() const;

private:
    void set_up();
    void storm();                          // an event: something goes wrong, and the next one is asked for
    void harm_server();
    void harm_worker(SimWorker& worker);
    void harm_engine(SimWorker& worker);
    void harm_wire(SimWorker& worker);
    void act_as_users();
    void watch_machines();
    void stop_storm();
    void look_at_rows();
    std::optional<Violation> look_at_calm();
    void check(const char* invariant, std::string found);

    const SimulationOptions options_;
    World world_;
    EngineFaults engine_faults_;
    std::string folder_;
    Ledger ledger_;
    std::vector<std::unique_ptr<SimWorker>> workers_;
    std::unique_ptr<SimServer> server_;
    std::unique_ptr<Users> users_;
    std::shared_ptr<const gateway::RouteTable> kept_routes_;   // of a planted bug
    bool storming_ = true;
    milliseconds converged_after_{};
    Counts counts_;
};

}  // namespace gantry::sim
