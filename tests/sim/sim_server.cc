#include "sim/sim_server.h"

#include <sqlite3.h>

#include <algorithm>
#include <filesystem>

#include "sim/planted.h"
#include "store/fault_vfs_for_test.h"

namespace gantry::sim {

namespace fault = store::fault;

// What lives in the server's process and dies with it.
struct SimServer::Process {
    Process(SimServer& server, std::unique_ptr<store::SqliteStore> opened, RandomSource& random)
        : store(std::move(opened)),
          ids(random),
          secrets(server.folder_),
          publisher(*store, tables, hub, secrets),
          history(*store, server.world_.clock()),
          heartbeat(*store, publisher, observed, history, server.world_.clock(), [this, &server] {
              reconciler.notify();
              server.turn_soon();
          }),
          knowledge(*store, {.patience = std::chrono::seconds(20)}),   // so that what a round knows does not depend on a thread
          sleep(*store, publisher, server.world_.clock(), random, {}),
          reconciler({.store = *store,
                      .publisher = publisher,
                      .observed = observed,
                      .heartbeat = heartbeat,
                      .knowledge = knowledge,
                      .sleep = sleep,
                      .clock = server.world_.clock(),
                      .random = random,
                      .poke_workers = [&server] { server.hooks_.poke_workers(); },
                      .in_use = [&server]() -> std::optional<std::set<InstanceId>> {
                          if (server.world_.chance(0.05)) return std::nullopt;
                          return std::set<InstanceId>();
                      },
                      .plan = [&server](const control::PlanInput& input) { return server.plan(input); }}),
          alarms(*store, server.world_.clock(), random),
          sessions(*store, publisher, heartbeat, alarms, server.world_.clock()) {}

    Status load(const Clock& clock) {
        GANTRY_TRY(publisher.refresh_auth());
        GANTRY_TRY(publisher.refresh());
        observed.restore(*publisher.rows(), clock.steady());
        publisher.set_observed(&observed);
        publisher.refresh_observed();
        return Ok{};
    }

    std::unique_ptr<store::SqliteStore> store;
    std::unique_ptr<RandomSource> own_ids;    // of a planted bug
    RandomSource& ids;
    gateway::Tables tables;
    control::WatchHub hub;
    control::Secrets secrets;
    control::Publisher publisher;
    control::Observed observed;
    control::DeviceHistory history;
    control::Heartbeat heartbeat;
    control::KnowledgeSource knowledge;
    control::Sleep sleep;   // nobody asks here, so nothing sleeps
    control::Reconciler reconciler;
    control::Alarms alarms;
    control::Sessions sessions;
};

SimServer::SimServer(World& world, Bug bug, std::string folder, Hooks hooks)
    : world_(world), bug_(bug), base_(std::move(folder)), hooks_(std::move(hooks)), folder_(base_ + "/server-0") {
    fault::install();
    fault::heal();
    fault::track(true);
}
SimServer::~SimServer() {
    process_.reset();
    fault::heal();
    fault::track(false);
}

void SimServer::start() {
    if (process_) return;
    fault::heal();
    store::DatabaseOptions options;
    options.vfs = fault::kVfs;
    auto opened = store::SqliteStore::open(folder_, options);
    if (!opened) return world_.violated("the_server_starts_again", opened.error().message);
    ++run_;
    std::unique_ptr<RandomSource> own;
    if (bug_ == Bug::kIdsRepeat) own = seeded_random(42);
    RandomSource& ids = own ? *own : world_.ids();
    process_ = std::make_unique<Process>(*this, *std::move(opened), ids);
    process_->own_ids = std::move(own);
    if (Status loaded = process_->load(world_.clock()); !loaded) {
        return world_.violated("the_server_starts_again", loaded.error().message);
    }
    if (bug_ == Bug::kStoreLosesWrites) fault::track(true, false);
    world_.note("the server starts (run {})", run_);
    hooks_.started();
    world_.after(1ms, [this, run = run_] { turn(run); });
}

void SimServer::leave_process() {
    // What the next process finds is what the files hold now. The old one's handles end with it, on files nobody looks at again.
    const std::string next = fmt::format("{}/server-{}", base_, run_);
    std::error_code failed;
    std::filesystem::create_directories(next);
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
        const std::string name = entry.path().filename().string();
        if (!entry.is_regular_file() || name.ends_with("-shm")) continue;
        std::filesystem::copy_file(entry.path(), next + "/" + name, failed);
    }
    if (bug_ == Bug::kDiskTearsFiles) std::filesystem::resize_file(next + "/gantry.db", 8192, failed);
    process_.reset();
    fault::heal();
    fault::track(true);   // anew
    std::filesystem::remove_all(folder_, failed);
    folder_ = next;
}

void SimServer::kill() {
    if (!process_) return;
    world_.note("the server is killed");
    leave_process();
}

void SimServer::power_off(bool some_writes_survive) {
    if (!process_) return;
    world_.note("the server's machine loses its power");
    if (bug_ == Bug::kStoreLosesWrites) some_writes_survive = false;   // a torn file would be another bug
    fault::lose_power(some_writes_survive ? fault::Loss::kSome : fault::Loss::kAll, world_.number());
    leave_process();
}

void SimServer::fail_disk(milliseconds duration) {
    if (!process_) return;
    const int code = world_.chance(0.5) ? SQLITE_FULL : SQLITE_IOERR;
    const auto operation = world_.chance(0.3) ? fault::Operation::kSync : world_.chance(0.5) ? fault::Operation::kWrite : fault::Operation::kAny;
    fault::fail(operation, static_cast<int64_t>(1 + world_.below(20)), code, true);
    world_.note("the server's disk fails");
    world_.after(duration, [this, run = run_] {
        if (run == run_ && process_) fault::heal();
    });
}

store::Store& SimServer::store() { return *process_->store; }
control::Publisher& SimServer::publisher() { return process_->publisher; }
gateway::Tables& SimServer::tables() { return process_->tables; }
control::KnowledgeSource& SimServer::knowledge() { return process_->knowledge; }
RandomSource& SimServer::ids() { return process_->ids; }

void SimServer::changed() {
    (void)process_->publisher.refresh();
    process_->reconciler.notify();
    turn_soon();
    hooks_.poke_workers();
}

void SimServer::turn_soon() {
    if (std::exchange(turn_posted_, true)) return;
    world_.after(world_.between(1ms, 20ms), [this, run = run_] {
        turn_posted_ = false;
        if (process_ && run == run_) {
            if (process_->reconciler.turn(world_.steady())) hooks_.turned();
        }
    });
}

void SimServer::turn(uint64_t run) {
    if (!process_ || run != run_) return;
    if (process_->reconciler.turn(world_.steady())) hooks_.turned();
    world_.after(control::Reconciler::kTick, [this, run] { turn(run); });
}

std::vector<control::Action> SimServer::plan(const control::PlanInput& input) const {
    std::vector<control::Action> actions = plan_with(bug_, input);
    hooks_.planned(input, actions);
    return actions;
}

Result<std::string> SimServer::exchange(const WorkerId& worker, const std::string& body) {
    auto request = protocol::decode_exchange_request(body);
    if (!request) return request.error();
    auto answer = process_->sessions.exchange({worker, "10.0.0.1"}, *std::move(request));
    if (!answer) return answer.error();
    return protocol::encode(*answer);
}

bool SimServer::stream_opened(const WorkerId& worker, const std::string& incarnation) {
    return process_ && process_->sessions.opened({worker, "10.0.0.1"}, incarnation).ok();
}

void SimServer::stream_closed(const WorkerId& worker, const std::string& incarnation, uint64_t server_run) {
    if (process_ && server_run == run_) process_->sessions.closed(worker, incarnation);
}

}  // namespace gantry::sim
