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
#include <thread>
#include <utility>

#include "backends/backends.h"
#include "base/log.h"
#include "base/platform/file_lock.h"
#include "worker/run_folder.h"
#include "worker/worker_core.h"

namespace gantry::worker {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

constexpr milliseconds kFirstLook{5'000};
constexpr std::chrono::seconds kProgramInterval{60};   // between two looks at which backends' programs are there
constexpr milliseconds kKillReserve{500};   // before a stop's deadline: time for SIGKILL to do its work

// Threads: start() and stop() from outside, everything else on the io thread; checks of model files on the background thread,
// which touches nothing of this but io_.
class WorkerLoop final : public Worker, private WorkerHost {
public:
    WorkerLoop(WorkerOptions options, std::string run_dir, platform::FileLock lock, protocol::ServerLink& link,
               const Clock& clock, RandomSource& random)
        : options_(std::move(options)),
          lock_(std::move(lock)),
          work_(io_.get_executor()),
          timer_(io_),
          programs_timer_(io_),
          prober_(io_, options_.policy.liveness_timeout),
          core_(std::make_unique<WorkerCore>(WorkerCore::Parts{options_, std::move(run_dir), *this, own_processes(), link, clock, random})) {}
    ~WorkerLoop() override { stop(false, Deadline::after(std::chrono::seconds(1))); }

    void begin();
    void poke() override;
    void stop(bool stop_engines, Deadline deadline) override;
    std::vector<std::string> log_files(const InstanceId& id) const override;

private:
    bool watch(const InstanceId& id, platform::UniqueFd handle, uint64_t run) override;
    void unwatch(const InstanceId& id) override {
        watches_.erase(id);
        tickets_.erase(id);
    }
    void probe(const InstanceId& id, const std::string& endpoint, const std::string& path, uint64_t run) override;
    void fetch(const InstanceId& id, const Source& source, uint64_t run) override;
    void check(const InstanceId& id, const protocol::InstanceSpec& spec, const std::string& model_path, uint64_t run) override;
    void rotate_log(const InstanceFolder& folder) override;
    void exchange_soon() override;
    devices::ProbeOutcome devices() override { return inventory_->latest(); }
    void look_at_devices() override { inventory_->refresh(); }
    std::vector<BackendProgram> programs() override { return programs_; }

    void look_for_programs();
    void look_for_programs_later();
    void tell_fetching(const InstanceId& id, uint64_t run);
    void await_end(const InstanceId& id, uint64_t run);
    void exchange();
    void settle();

    const WorkerOptions options_;
    const platform::FileLock lock_;   // of data_dir, while this lives

    asio::io_context io_;
    asio::executor_work_guard<asio::io_context::executor_type> work_;
    asio::steady_timer timer_;
    asio::steady_timer programs_timer_;
    std::vector<BackendProgram> programs_;
    bool looking_for_programs_ = false;
    HealthProber prober_;
    std::map<InstanceId, asio::posix::stream_descriptor> watches_;
    std::map<InstanceId, std::unique_ptr<sources::ModelFiles::Ticket>> tickets_;   // of instances whose files come from hubs
    bool exchange_posted_ = false;
    std::unique_ptr<devices::Inventory> inventory_;
    std::unique_ptr<WorkerCore> core_;   // behind what it asks things of

    std::atomic<bool> poked_{false};
    std::mutex stop_mutex_;           // one stop at a time
    bool stopped_ = false;            // guarded by stop_mutex_
    asio::thread_pool background_{1};
    std::thread thread_;
};

void WorkerLoop::begin() {
    core_->adopt_all();
    devices::InventoryOptions looks;
    looks.gantry_binary = options_.gantry_binary;
    looks.changed = [this] {
        asio::post(io_, [this] {
            core_->on_devices_changed();
            settle();
            look_for_programs();   // what a program can't do goes by device
        });
    };
    inventory_ = devices::Inventory::start(std::move(looks));
    thread_ = std::thread([this] {
        // So that the first report has the accelerators, where there are some: nothing is placed in memory for want of them.
        inventory_->wait_for_first_look(Deadline::after(kFirstLook));
        programs_ = backends::find_programs(inventory_->latest().devices);
        asio::post(io_, [this] { exchange(); });
        look_for_programs_later();
        io_.run();
    });
}

void WorkerLoop::look_for_programs() {
    if (std::exchange(looking_for_programs_, true)) {
        return;
    }
    asio::post(background_, [this, devices = inventory_->latest().devices] {
        asio::post(io_, [this, found = backends::find_programs(devices)] {
            looking_for_programs_ = false;
            if (programs_ == found) {
                return;
            }
            programs_ = found;
            exchange();
        });
    });
}

void WorkerLoop::look_for_programs_later() {
    programs_timer_.expires_after(kProgramInterval);
    programs_timer_.async_wait([this](boost::system::error_code cut) {
        if (!cut) {
            look_for_programs();
            look_for_programs_later();
        }
    });
}

void WorkerLoop::poke() {
    if (!poked_.exchange(true)) {
        asio::post(io_, [this] {
            poked_ = false;
            exchange();
            look_for_programs();   // who deploys may have installed one just before
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
        if (!stop_engines) {
            core_->stop_exchanging();
            io_.stop();
            return;
        }
        core_->end_engines(deadline.never() ? SteadyTime::max() : deadline.time() - kKillReserve, deadline.time());
        settle();
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
        core_->on_ended(id, run);
        settle();
    });
}

void WorkerLoop::probe(const InstanceId& id, const std::string& endpoint, const std::string& path, uint64_t run) {
    prober_.probe(endpoint, path, [this, id, run](const HealthAnswer& answer) {
        core_->on_probed(id, run, answer);
        settle();
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
    core_->on_fetching(id, run, progress);
    settle();
}

void WorkerLoop::check(const InstanceId& id, const protocol::InstanceSpec& spec, const std::string& model_path, uint64_t run) {
    asio::post(background_, [this, id, spec, model_path, run] {
        const std::string identity = platform::file_identity(model_path);   // before the read: a change during it counts
        Status outcome = check_model(spec, model_path);
        asio::post(io_, [this, id, run, identity, outcome] {
            core_->on_checked(id, run, outcome, identity);
            settle();
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

void WorkerLoop::exchange_soon() {
    if (!exchange_posted_) {
        exchange_posted_ = true;
        asio::post(io_, [this] {
            exchange_posted_ = false;
            exchange();
        });
    }
}

void WorkerLoop::exchange() {
    core_->exchange();
    settle();
}

// After the core did something: this thread's end, or its next wake.
void WorkerLoop::settle() {
    if (core_->ended()) {
        io_.stop();
    }
    timer_.expires_at(core_->next_wake());
    timer_.async_wait([this](boost::system::error_code cut) {
        if (!cut) {
            core_->on_time();
            settle();
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
