// `./dev sim`: the simulator by hand, seed after seed, until the time is up or an invariant does not hold.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdlib>

#include "base/log.h"
#include "sim/simulation.h"

namespace {

using namespace gantry;
using namespace std::chrono_literals;

struct Flags {
    double seconds = 60;
    uint64_t seed = 0;
    size_t workers = 0;
    size_t deployments = 0;
    int storm = 0;
    bool log = false, verbose = false;
};

sim::SimulationOptions options_of(const Flags& flags, uint64_t seed) {
    sim::SimulationOptions options;
    options.seed = seed;
    // Where it was not said: small ones most of the time.
    options.workers = flags.workers > 0 ? flags.workers : seed % 25 == 0 ? 40 : 1 + seed % 8;
    options.deployments = flags.deployments > 0 ? flags.deployments : std::clamp<size_t>(options.workers * 2, 4, 60);
    options.intensity = options.workers > 100 ? 0.1 : options.workers > 20 ? 0.5 : 1;
    if (flags.storm > 0) options.storm = std::chrono::seconds(flags.storm);
    return options;
}

int run(const Flags& flags) {
    log::Options own;
    own.level = flags.log ? log::Level::kInfo : log::Level::kError;
    own.to_stderr = flags.log;
    log::start(own);
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(flags.seconds);
    const auto today = static_cast<uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
    const uint64_t first = flags.seed > 0 ? flags.seed : today % 1'000'000'000;
    uint64_t done = 0;
    for (uint64_t seed = first;; ++seed) {
        sim::Simulation simulation(options_of(flags, seed));
        const auto violation = simulation.run();
        ++done;
        if (violation) {
            fmt::print("{}{}\n\n{}: {}\n", simulation.story(), simulation.summary(), violation->invariant, violation->what);
            fmt::print("replay: ./dev sim --seed {} --seconds 0{}{}\n", seed, flags.workers > 0 ? fmt::format(" --workers {}", flags.workers) : "",
                       flags.storm > 0 ? fmt::format(" --storm {}", flags.storm) : "");
            return 1;
        }
        fmt::print("{}\n", simulation.summary());
        if (std::chrono::steady_clock::now() >= end) break;
    }
    fmt::print("{} simulation{} from seed {} on: all invariants hold\n", done, done == 1 ? "" : "s", first);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    Flags flags;
    CLI::App app("Simulates a server, its workers and its users, with faults at random");
    app.add_option("--seconds", flags.seconds, "go on with further seeds for so long (60); 0: one simulation");
    app.add_option("--seed", flags.seed, "begin with this one; else with one by the time of day")->envname("GANTRY_SIM_SEED");
    app.add_option("--workers", flags.workers, "in each simulation; else few, by the seed")->check(CLI::Range(1, 500));
    app.add_option("--deployments", flags.deployments, "at most; else by the workers");
    app.add_option("--storm", flags.storm, "simulated seconds of faults (180)");
    app.add_flag("--log", flags.log, "the product's own log, too");
    CLI11_PARSE(app, argc, argv);
    return run(flags);
}
