#include "sim/simulation.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace gantry::sim {
namespace {

constexpr milliseconds kLookEvery{5'000};
constexpr uint64_t kGiB = 1ull << 30;

std::string make_folder() {
    std::string pattern = std::string(std::filesystem::exists("/dev/shm") ? "/dev/shm" : "/tmp") + "/gantry-sim-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    return pattern;
}

Device device(const char* vendor, uint32_t index, uint64_t bytes) {
    Device d;
    d.vendor = vendor;
    d.index = index;
    d.name = vendor;
    d.chip = std::string(vendor) == "nvidia" ? "sm_80" : "";
    d.memory_total_bytes = d.memory_free_bytes = bytes;
    d.cores = 16;
    return d;
}

// Small enough that room is short.
std::vector<Device> some_devices(World& world) {
    std::vector<Device> devices{device("cpu", 0, (4 + world.below(5) * 4) * kGiB)};
    const uint64_t cards = world.chance(0.5) ? 0 : 1 + world.below(3);
    for (uint32_t i = 0; i < cards; ++i) devices.push_back(device("nvidia", i, (world.chance(0.5) ? 8 : 16) * kGiB));
    return devices;
}

}  // namespace

Simulation::Simulation(const SimulationOptions& options) : options_(options), world_(options.seed), folder_(make_folder()) {
    SimServer::Hooks hooks;
    hooks.poke_workers = [this] {
        for (const auto& worker : workers_) worker->poke();
    };
    hooks.turned = [this] {
        look_at_rows();
        check("no_more_replicas_than_allowed", no_more_replicas_than_allowed(*server_->publisher().rows()));
    };
    hooks.planned = [this](const control::PlanInput& input, const std::vector<control::Action>& actions) {
        check("no_update_is_taken_back_early", no_update_is_taken_back_early(input, actions));
    };
    hooks.started = [this] { look_at_rows(); };
    server_ = std::make_unique<SimServer>(world_, options_.bug, folder_, std::move(hooks));
    std::filesystem::create_directories(folder_ + "/bin");
    const std::string program = folder_ + "/bin/llama-server";
    std::ofstream(program) << "#!/bin/false\n";
    ::chmod(program.c_str(), 0755);
    users_ = std::make_unique<Users>(world_, *server_, workers_, ledger_, options_.bug, program,
                                     Users::Most{options_.deployments, options_.workers > 3 ? 4u : 2u});
}

Simulation::~Simulation() {
    workers_.clear();
    server_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
}

void Simulation::check(const char* invariant, std::string found) {
    if (!found.empty()) world_.violated(invariant, std::move(found));
}

void Simulation::look_at_rows() {
    if (!server_->up() || server_->publisher().stale()) return;
    const auto rows = server_->publisher().rows();
    check("nothing_acknowledged_is_lost", nothing_acknowledged_is_lost(ledger_, *rows));
    check("no_identifier_is_reused", no_identifier_is_reused(ledger_, *rows));
}

void Simulation::set_up() {
    server_->start();
    if (world_.violation()) return;
    users_->prepare();
    for (size_t i = 0; i < options_.workers; ++i) {
        workers_.push_back(std::make_unique<SimWorker>(world_, *server_, engine_faults_, options_.bug, fmt::format("machine-{}", i),
                                                       fmt::format("{}/worker-{}", folder_, i), some_devices(world_)));
        if (!users_->join(*workers_.back())) return world_.violated("the_simulation_is_set_up", "a worker can't join");
        if (world_.chance(0.3)) workers_.back()->set_clock_off(world_.between(-30s, 30s));
        SimWorker* const worker = workers_.back().get();
        world_.after(world_.between(1ms, 2s), [worker] { worker->start(); });
    }
    server_->changed();
    for (size_t i = 0; i < options_.deployments / 2; ++i) {
        world_.after(world_.between(1s, 10s), [this] {
            if (server_->up()) users_->deploy();
        });
    }
    watch_machines();
    engine_faults_ = {.spawn_fails = 0.02, .dies_loading = 0.05, .hangs_loading = 0.02, .ignores_terminate = 0.1, .slow = true};
    world_.after(10s, [this] { storm(); });
    world_.after(12s, [this] { act_as_users(); });
}

// Machines change by events that nobody else sees, so they are looked at often.
void Simulation::watch_machines() {
    check("one_engine_an_instance", one_engine_an_instance(workers_));   // first: a doubled engine claims twice
    for (const auto& worker : workers_) check("no_device_over_capacity", no_device_over_capacity(worker->machine()));
    world_.after(100ms, [this] { watch_machines(); });
}

void Simulation::act_as_users() {
    if (!storming_) return;
    users_->act();
    const double each = 20'000.0 / (options_.intensity * static_cast<double>(options_.deployments));
    world_.after(milliseconds(1 + world_.below(static_cast<uint64_t>(2 * each))), [this] { act_as_users(); });
}

void Simulation::storm() {
    if (!storming_) return;
    const uint64_t dice = world_.below(100);
    SimWorker& worker = *workers_[world_.below(workers_.size())];
    if (dice < 12) harm_server();
    else if (dice < 40) harm_wire(worker);
    else if (dice < 65) harm_engine(worker);
    else harm_worker(worker);
    const double each = 15'000.0 / (options_.intensity * static_cast<double>(options_.workers));
    world_.after(milliseconds(1 + world_.below(static_cast<uint64_t>(2 * each))), [this] { storm(); });
}

void Simulation::harm_server() {
    if (!server_->up()) return;
    const uint64_t dice = world_.below(10);
    if (dice < 4) {
        ++counts_.disk_faults;
        server_->fail_disk(world_.between(100ms, 20s));
        if (dice >= 2) return;   // else it is killed in the middle of a write, a little later
    }
    const bool power = dice >= 7;
    ++(power ? counts_.power_cuts : counts_.server_kills);
    const milliseconds down = world_.chance(0.2) ? world_.between(10s, 70s) : world_.between(200ms, 8s);
    world_.after(dice < 2 ? world_.between(1ms, 3s) : 0ms, [this, power, down] {
        if (power) server_->power_off(world_.chance(0.5));
        else server_->kill();
        world_.after(down, [this] { server_->start(); });
    });
}

void Simulation::harm_worker(SimWorker& worker) {
    if (!worker.runs()) return;
    ++counts_.worker_kills;
    const bool power = world_.chance(0.3);
    world_.note("{} {}", worker.name(), power ? "loses its power" : "'s worker is killed");
    if (power) worker.power_off();
    else worker.kill();
    const milliseconds down = world_.chance(0.2) ? world_.between(20s, 120s) : world_.between(100ms, 15s);
    world_.after(down, [&worker] { worker.start(); });
}

void Simulation::harm_engine(SimWorker& worker) {
    const int64_t pid = worker.machine().some_engine(world_);
    if (pid == 0) return;
    ++counts_.engine_faults;
    const uint64_t dice = world_.below(10);
    world_.note("{}: the engine of {} {}", worker.name(), worker.machine().engines().at(pid).instance.text, dice < 3 ? "hangs" : "is killed");
    if (dice < 3) worker.machine().hang(pid);
    else worker.machine().kill(pid, dice < 6);
}

void Simulation::harm_wire(SimWorker& worker) {
    Wire& wire = worker.wire();
    const uint64_t dice = world_.below(10);
    ++counts_.cuts;
    Wire bad;
    if (dice < 4) bad.cut = true;
    else if (dice < 6) bad.deaf = true;
    else if (dice < 8) bad.loss = 0.3;
    else bad.latency = 2s;
    bad.late = world_.chance(0.3) ? 0.3 : 0;
    wire = bad;
    world_.note("{}'s wire: {}", worker.name(), bad.cut ? "cut" : bad.deaf ? "no answers" : bad.loss > 0 ? "lossy" : "slow");
    world_.after(world_.chance(0.3) ? world_.between(40s, 120s) : world_.between(1s, 30s), [&wire] { wire = Wire{}; });
}

void Simulation::stop_storm() {
    storming_ = false;
    engine_faults_ = {};
    world_.note("the storm is over");
    server_->start();
    for (const auto& worker : workers_) {
        worker->wire() = Wire{};
        if (!worker->removed()) worker->start();
    }
}

std::optional<Violation> Simulation::look_at_calm() {
    if (!server_->up() || server_->publisher().stale()) return Violation{"the_server_starts_again", "it is down"};
    const auto view = server_->publisher().view();
    auto routes = server_->tables().routes();
    if (options_.bug == Bug::kGatewayKeepsOldRoutes) {
        if (!kept_routes_) kept_routes_ = routes;
        routes = kept_routes_;
    }
    const Calm calm{workers_, *view, *routes, server_->knowledge()};
    using Check = std::pair<const char*, std::string (*)(const Calm&)>;
    constexpr Check kChecks[] = {{"no_orphan_runs", no_orphan_runs},
                                 {"each_deployment_ends", each_deployment_ends},
                                 {"replicas_converge", replicas_converge},
                                 {"routes_lead_to_engines", routes_lead_to_engines}};
    for (const auto& [name, holds] : kChecks) {
        if (std::string found = holds(calm); !found.empty()) return Violation{name, std::move(found)};
    }
    return std::nullopt;
}

std::optional<Violation> Simulation::run() {
    set_up();
    world_.run_until(30s);
    if (options_.bug == Bug::kGatewayKeepsOldRoutes && server_->up()) kept_routes_ = server_->tables().routes();
    world_.run_until(options_.storm);
    if (!world_.violation()) stop_storm();
    std::optional<Violation> left;
    bool once = false;   // twice in a row, so that it is no moment's luck
    while (!world_.violation() && world_.now() < options_.storm + options_.calm) {
        world_.run_until(world_.now() + kLookEvery);
        if (world_.violation()) break;
        left = look_at_calm();
        converged_after_ = world_.now() - options_.storm;
        if (!left && std::exchange(once, true)) return std::nullopt;
        if (left) once = false;
    }
    if (!world_.violation() && left) {
        world_.violated(left->invariant.c_str(), fmt::format("{} s after the faults: {}", converged_after_ / 1s, left->what));
    }
    return world_.violation();
}

Simulation::Counts Simulation::counts() const {
    Counts counts = counts_;
    counts.operations = users_->acknowledged();
    for (const auto& worker : workers_) counts.engines += worker->machine().spawned();
    return counts;
}

std::string Simulation::summary() const {
    const Counts c = counts();
    return fmt::format("seed {}: {} workers, {} s, {} events; {} operations, {} engines; server killed {}, without power {}, disk failed {}; "
                       "workers killed {}, wires bad {}, engines harmed {}; converged after {} s",
                       options_.seed, options_.workers, world_.now() / 1s, world_.events(), c.operations, c.engines, c.server_kills, c.power_cuts,
                       c.disk_faults, c.worker_kills, c.cuts, c.engine_faults, converged_after_ / 1s);
}

}  // namespace gantry::sim
