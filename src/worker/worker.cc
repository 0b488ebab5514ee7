#include "worker/worker.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>

#include <atomic>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "base/log.h"
#include "base/platform/file_lock.h"
#include "base/platform/memory.h"
#include "base/version.h"
#include "devices/devices.h"
#include "worker/run_folder.h"
#include "worker/supervisor.h"

namespace gantry::worker {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

// The first report waits so long for the adopted engines' first answers, so that a restart of the server does not show
// running engines as starting.
constexpr milliseconds kAdoptionHold{300};
constexpr milliseconds kProgressInterval{200};
constexpr milliseconds kDeviceInterval{1'000};
constexpr milliseconds kFirstLook{5'000};
constexpr milliseconds kKillReserve{500};   // before a stop's deadline: time for SIGKILL to do its work

// Threads: start() and stop() from outside, everything else on the io thread; checks of model files on the background thread,
// which touches nothing of this but io_.
class WorkerLoop final : public Worker, private SupervisorHost {
public:
    WorkerLoop(WorkerOptions options, std::string run_dir, platform::FileLock lock, protocol::ServerLink& link,
               const Clock& clock, RandomSource& random)
        : options_(std::move(options)),
          run_dir_(std::move(run_dir)),
          lock_(std::move(lock)),
          link_(link),
          clock_(clock),
          random_(random),
          work_(io_.get_executor()),
          timer_(io_),
          prober_(io_, options_.policy.liveness_timeout) {}
    ~WorkerLoop() override { stop(false, Deadline::after(std::chrono::seconds(1))); }

    void begin();
    void poke() override;
    void stop(bool stop_engines, Deadline deadline) override;
    std::vector<std::string> log_files(const InstanceId& id) const override;

private:
    bool watch(const InstanceId& id, platform::UniqueFd handle, uint64_t run) override;
    void probe(const InstanceId& id, const std::string& endpoint, const std::string& path, uint64_t run) override;
    void fetch(const InstanceId& id, const Source& source, uint64_t run) override;
    void check(const InstanceId& id, const protocol::InstanceSpec& spec, const std::string& model_path, uint64_t run) override;
    void rotate_log(const InstanceFolder& folder) override;
    void changed() override;
    void progressed() override;

    void tell_fetching(const InstanceId& id, uint64_t run);
    void await_end(const InstanceId& id, uint64_t run);
    SupervisorContext context() {
        return SupervisorContext{*this, clock_, LaunchContext{run_dir_, options_.gantry_binary, random_, options_.policy, devices_.devices},
                                 out_of_memory_};
    }
    void adopt_all();
    void exchange();
    bool holding();
    protocol::WorkerReport make_report();
    void apply(const protocol::Assignment& assignment);
    void remove_dormant();
    void on_timer();
    void rearm();
    void sweep();
    void sample_memory(SteadyTime now);
    // Runs `use` with the supervisor of that id, if it is still there, and sees to what follows.
    template <class Use>
    void with(const InstanceId& id, Use use) {
        if (const auto found = supervisors_.find(id); found != supervisors_.end()) {
            use(*found->second);
        }
        sweep();
        rearm();
    }

    const WorkerOptions options_;
    const std::string run_dir_;
    const platform::FileLock lock_;   // of data_dir, while this lives
    protocol::ServerLink& link_;
    const Clock& clock_;
    RandomSource& random_;

    asio::io_context io_;
    asio::executor_work_guard<asio::io_context::executor_type> work_;
    asio::steady_timer timer_;
    HealthProber prober_;
    OutOfMemoryWatch out_of_memory_;
    std::map<InstanceId, std::unique_ptr<Supervisor>> supervisors_;
    std::map<InstanceId, asio::posix::stream_descriptor> watches_;
    std::map<InstanceId, std::unique_ptr<sources::ModelFiles::Ticket>> tickets_;   // of instances whose files come from hubs
    std::set<InstanceId> dormant_;    // folders of a former run without an engine, until the first assignment
    bool first_assignment_seen_ = false;
    bool exchange_posted_ = false;
    std::optional<SteadyTime> hold_until_;
    SteadyTime next_exchange_{};
    SteadyTime next_devices_{};
    SteadyTime next_memory_{};
    std::unique_ptr<devices::Inventory> inventory_;
    devices::ProbeOutcome devices_;
    std::map<int64_t, InstanceId> owners_;   // of the processes of our engines, as of the last look
    bool ending_ = false;             // stop() with engines: no more exchanges
    SteadyTime end_by_ = SteadyTime::max();

    std::atomic<bool> poked_{false};
    std::mutex stop_mutex_;           // one stop at a time
    bool stopped_ = false;            // guarded by stop_mutex_
    asio::thread_pool background_{1};
    std::thread thread_;
};

void WorkerLoop::begin() {
    adopt_all();
    devices::InventoryOptions looks;
    looks.gantry_binary = options_.gantry_binary;
    looks.changed = [this] {
        asio::post(io_, [this] {
            next_devices_ = {};
            exchange();
        });
    };
    inventory_ = devices::Inventory::start(std::move(looks));
    thread_ = std::thread([this] {
        // So that the first report has the accelerators, where there are some: nothing is placed in memory for want of them.
        inventory_->wait_for_first_look(Deadline::after(kFirstLook));
        asio::post(io_, [this] { exchange(); });
        io_.run();
    });
}

void WorkerLoop::adopt_all() {
    for (const InstanceId& id : list_instance_folders(options_.data_dir)) {
        const InstanceFolder folder(options_.data_dir, id);
        Adoption adoption = examine_folder(folder);
        if (adoption.watch.valid() && adoption.record->id == id) {
            auto supervisor = std::make_unique<Supervisor>(context(), id, folder);
            Supervisor& adopted = *supervisor;
            supervisors_.emplace(id, std::move(supervisor));
            adopted.adopt(std::move(adoption));
            continue;
        }
        if (adoption.held) {
            kill_lock_holders(folder);
        }
        dormant_.insert(id);
    }
    if (!supervisors_.empty()) {
        hold_until_ = clock_.steady() + kAdoptionHold;
    }
    rearm();
}

void WorkerLoop::poke() {
    if (!poked_.exchange(true)) {
        asio::post(io_, [this] {
            poked_ = false;
            exchange();
        });
    }
}

void WorkerLoop::stop(bool stop_engines, Deadline deadline) {
    std::lock_guard guard(stop_mutex_);
    if (stopped_) {
        return;
    }
    stopped_ = true;
    asio::post(io_, [this, stop_engines, deadline] {
        ending_ = true;
        if (!stop_engines) {
            io_.stop();
            return;
        }
        end_by_ = deadline.time();
        const SteadyTime kill_at = deadline.never() ? SteadyTime::max() : deadline.time() - kKillReserve;
        for (const auto& [id, supervisor] : supervisors_) {
            supervisor->stop(true, kill_at);
        }
        sweep();
        rearm();
    });
    if (thread_.joinable()) {
        thread_.join();
    }
    inventory_.reset();   // what it still posts is never run
    background_.join();
}

std::vector<std::string> WorkerLoop::log_files(const InstanceId& id) const {
    return safe_instance_id(id.text) ? InstanceFolder(options_.data_dir, id).log_files() : std::vector<std::string>();
}

bool WorkerLoop::watch(const InstanceId& id, platform::UniqueFd handle, uint64_t run) {
    watches_.erase(id);
    const auto place = watches_.emplace(id, asio::posix::stream_descriptor(io_)).first;
    boost::system::error_code failed;
    place->second.assign(handle.get(), failed);
    if (failed) {
        watches_.erase(place);
        return false;
    }
    (void)handle.release();   // the descriptor's now
    await_end(id, run);
    return true;
}

void WorkerLoop::await_end(const InstanceId& id, uint64_t run) {
    const auto place = watches_.find(id);
    if (place == watches_.end()) {
        return;
    }
    place->second.async_wait(asio::posix::descriptor_base::wait_read, [this, id, run](boost::system::error_code cut) {
        const auto watched = watches_.find(id);
        if (cut || watched == watches_.end()) {
            return;
        }
        // Asio may hand a former watch's event to the one that took its place; only the process itself says that it ended.
        if (!platform::has_ended(watched->second.native_handle())) {
            await_end(id, run);
            return;
        }
        with(id, [run](Supervisor& supervisor) { supervisor.on_ended(run); });
    });
}

void WorkerLoop::probe(const InstanceId& id, const std::string& endpoint, const std::string& path, uint64_t run) {
    prober_.probe(endpoint, path, [this, id, run](const HealthAnswer& answer) {
        with(id, [&](Supervisor& supervisor) { supervisor.on_probed(run, answer); });
        if (hold_until_) {
            changed();
        }
    });
}

void WorkerLoop::fetch(const InstanceId& id, const Source& source, uint64_t run) {
    if (options_.model_files != nullptr) {
        tickets_[id] = options_.model_files->fetch(source, [this, id, run] { asio::post(io_, [this, id, run] { tell_fetching(id, run); }); });
    }
    asio::post(io_, [this, id, run] { tell_fetching(id, run); });   // it may have ended before
}

void WorkerLoop::tell_fetching(const InstanceId& id, uint64_t run) {
    const auto ticket = tickets_.find(id);
    sources::Progress progress;
    if (ticket != tickets_.end()) {
        progress = ticket->second->progress();
    } else {
        progress.state = sources::Progress::State::kFailed;
        progress.error = invalid_argument("this worker fetches no models: its folder of models cannot be used");
    }
    with(id, [&](Supervisor& supervisor) { supervisor.on_fetching(run, progress); });
}

void WorkerLoop::check(const InstanceId& id, const protocol::InstanceSpec& spec, const std::string& model_path, uint64_t run) {
    asio::post(background_, [this, id, spec, model_path, run] {
        const std::string identity = platform::file_identity(model_path);   // before the read: a change during it counts
        Status outcome = check_model(spec, model_path);
        asio::post(io_, [this, id, run, identity, outcome] {
            with(id, [&](Supervisor& supervisor) { supervisor.on_checked(run, outcome, identity); });
        });
    });
}

void WorkerLoop::rotate_log(const InstanceFolder& folder) {
    asio::post(background_, [folder] {
        if (const Status done = platform::copy_and_truncate(folder.log_path(), folder.former_log_path()); !done.ok()) {
            log::warn("{}", done.error().message);
        }
    });
}

void WorkerLoop::changed() {
    next_memory_ = {};   // an engine came, went, or is loaded now: what was measured before is out of date
    if (!exchange_posted_ && !ending_) {
        exchange_posted_ = true;
        asio::post(io_, [this] {
            exchange_posted_ = false;
            exchange();
        });
    }
}

void WorkerLoop::progressed() { next_exchange_ = std::min(next_exchange_, clock_.steady() + kProgressInterval); }

bool WorkerLoop::holding() {
    if (hold_until_ && clock_.steady() < *hold_until_) {
        for (const auto& [id, supervisor] : supervisors_) {
            if (supervisor->awaits_first_answer()) {
                return true;
            }
        }
    }
    hold_until_.reset();
    return false;
}

void WorkerLoop::exchange() {
    if (ending_ || holding()) {
        return;
    }
    const SteadyTime now = clock_.steady();
    next_exchange_ = now + options_.policy.report_interval;
    out_of_memory_.sample(now, platform::out_of_memory_kills());
    sample_memory(now);
    const protocol::WorkerReport report = make_report();
    apply(link_.exchange(report));
    sweep();
    rearm();
}

protocol::WorkerReport WorkerLoop::make_report() {
    const SteadyTime now = clock_.steady();
    if (now >= next_devices_) {
        next_devices_ = now + kDeviceInterval;
        devices_ = inventory_->latest();
    }
    protocol::WorkerReport report;
    report.worker_id = options_.id;
    report.name = options_.name;
    report.address = options_.address;
    report.version = kVersion;
    report.os = platform::system_name();
    report.arch = platform::machine_name();
    report.devices = devices_.devices;
    for (Device& device : report.devices) {
        for (DeviceProcess& process : device.processes) {
            const auto owner = owners_.find(process.pid);
            process.instance_id = owner == owners_.end() ? InstanceId{} : owner->second;
        }
    }
    report.device_notes = devices_.notes;
    for (const auto& [id, supervisor] : supervisors_) {
        report.instances.push_back(supervisor->report());
    }
    return report;
}

void WorkerLoop::sample_memory(SteadyTime now) {
    if (now < next_memory_) {
        return;
    }
    std::vector<Supervisor*> running;
    std::vector<int64_t> groups;
    for (const auto& [id, supervisor] : supervisors_) {
        if (supervisor->pid() != 0) {
            running.push_back(supervisor.get());
            groups.push_back(supervisor->pid());
        }
    }
    next_memory_ = now + options_.policy.memory_interval;
    const std::vector<platform::GroupMemory> memory = platform::group_memory(groups);
    owners_.clear();
    for (size_t i = 0; i < running.size(); ++i) {
        running[i]->set_memory(memory[i]);
        for (const int64_t pid : memory[i].pids) {
            owners_[pid] = running[i]->id();
        }
    }
}

void WorkerLoop::apply(const protocol::Assignment& assignment) {
    if (assignment.unknown) {
        return;
    }
    std::set<InstanceId> wanted;
    for (const protocol::InstanceSpec& spec : assignment.run) {
        if (!safe_instance_id(spec.id.text)) {
            log::error("an instance with an unusable id was assigned; it is left out");
            continue;
        }
        wanted.insert(spec.id);
        auto found = supervisors_.find(spec.id);
        if (found == supervisors_.end()) {
            dormant_.erase(spec.id);
            found = supervisors_
                        .emplace(spec.id, std::make_unique<Supervisor>(context(), spec.id,
                                                                       InstanceFolder(options_.data_dir, spec.id)))
                        .first;
            changed();
        }
        found->second->want(spec);
    }
    for (const auto& [id, supervisor] : supervisors_) {
        if (!wanted.contains(id)) {
            supervisor->stop(false);
        }
    }
    if (!first_assignment_seen_) {
        first_assignment_seen_ = true;
        remove_dormant();
    }
}

void WorkerLoop::remove_dormant() {
    for (const InstanceId& id : dormant_) {
        log::info("instance {}: no longer wanted, its folder goes", id.text);
        if (const Status removed = InstanceFolder(options_.data_dir, id).remove(); !removed.ok()) {
            log::warn("instance {}: {}", id.text, removed.error().message);
        }
    }
    dormant_.clear();
}

void WorkerLoop::sweep() {
    for (auto place = supervisors_.begin(); place != supervisors_.end();) {
        if (place->second->gone()) {
            next_devices_ = {};   // what it held is free: the report that says so shows it
            inventory_->refresh();
            watches_.erase(place->first);
            tickets_.erase(place->first);
            place = supervisors_.erase(place);
        } else {
            ++place;
        }
    }
    if (ending_ && (supervisors_.empty() || clock_.steady() >= end_by_)) {
        io_.stop();
    }
}

void WorkerLoop::on_timer() {
    for (const auto& [id, supervisor] : supervisors_) {
        supervisor->on_time();
    }
    sweep();
    if (!ending_ && (clock_.steady() >= next_exchange_ || (hold_until_ && clock_.steady() >= *hold_until_))) {
        exchange();
    }
    rearm();
}

void WorkerLoop::rearm() {
    SteadyTime wake = ending_ ? end_by_ : next_exchange_;
    if (hold_until_) {
        wake = *hold_until_;
    }
    for (const auto& [id, supervisor] : supervisors_) {
        wake = std::min(wake, supervisor->next_wake());
    }
    timer_.expires_at(wake);
    timer_.async_wait([this](boost::system::error_code cut) {
        if (!cut) {
            on_timer();
        }
    });
}

std::string absolute_path(const std::string& path) {
    std::error_code failed;
    const std::filesystem::path absolute = std::filesystem::absolute(path, failed);
    return failed ? path : absolute.lexically_normal().string();
}

}  // namespace

Result<std::unique_ptr<Worker>> Worker::start(WorkerOptions options, protocol::ServerLink& link, const Clock& clock,
                                              RandomSource& random) {
    // Engines run in other folders than this process, so every path they get must be a whole one.
    options.data_dir = absolute_path(options.data_dir);
    if (!options.run_dir.empty()) {
        options.run_dir = absolute_path(options.run_dir);
    }
    if (options.gantry_binary.empty()) {
        options.gantry_binary = platform::own_executable();
    }
    if (options.name.empty()) {
        options.name = platform::host_name();
    }
    GANTRY_TRY(platform::make_folders(options.data_dir, 0700));
    Result<platform::FileLock> lock =
        platform::FileLock::try_lock_with_pid(options.data_dir + "/worker.lock", "the worker's data folder");
    if (!lock.ok()) {
        return lock.error();
    }
    GANTRY_TRY(platform::make_folders(options.data_dir + "/instances", 0700));
    Result<std::string> run_dir = prepare_run_folder(options.data_dir, options.run_dir);
    if (!run_dir.ok()) {
        return run_dir.error();
    }
    // Its own few, those of a spawn, and those of some probes.
    constexpr size_t kHandlesNeeded = 16;
    if (!platform::handles_available(kHandlesNeeded)) {
        return unavailable("the worker cannot start: this process can open too few files; raise the limit (ulimit -n)");
    }
    try {
        auto loop = std::make_unique<WorkerLoop>(std::move(options), std::move(*run_dir), std::move(*lock), link, clock, random);
        loop->begin();
        return std::unique_ptr<Worker>(std::move(loop));
    } catch (const std::exception& failure) {
        // Asio's and the thread library's way to say that handles or threads ran out.
        return unavailable(std::string("the worker cannot start: ") + failure.what() +
                           "; raise the limits of open files and processes (ulimit -n, ulimit -u)");
    }
}

}  // namespace gantry::worker
