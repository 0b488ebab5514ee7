#pragma once
// What a worker decides: which engines there should be, by the assignment, what it reports, when it looks again. All of a worker
// but its thread: worker.cc brings that, with timers, probes and watches; the simulator (tests/sim) brings its own time.
// Threads: the worker's io thread only.

#include <map>
#include <memory>
#include <optional>
#include <set>

#include "devices/devices.h"
#include "worker/supervisor.h"
#include "worker/worker.h"

namespace gantry::worker {

// What the core asks of the thread around it, beside what supervisors ask. Nothing here calls back before it returns.
class WorkerHost {
public:
    virtual ~WorkerHost() = default;
    virtual bool watch(const InstanceId& id, platform::UniqueFd handle, uint64_t run) = 0;   // -> on_ended
    virtual void unwatch(const InstanceId& id) = 0;
    virtual void probe(const InstanceId& id, const std::string& endpoint, const std::string& path, uint64_t run) = 0;   // -> on_probed
    virtual void fetch(const InstanceId& id, const Source& source, uint64_t run) = 0;   // -> on_fetching
    virtual void check(const InstanceId& id, const protocol::InstanceSpec& spec, const std::string& model_path, uint64_t run) = 0;   // -> on_checked
    virtual void rotate_log(const InstanceFolder& folder) = 0;
    virtual void exchange_soon() = 0;                   // -> exchange(), at once; asked for twice, once is enough
    virtual devices::ProbeOutcome devices() = 0;        // as they were seen last
    virtual void look_at_devices() = 0;                 // what they hold has changed
    virtual std::vector<BackendProgram> programs() = 0; // of each backend, as they were found last
};

class WorkerCore final : private SupervisorHost {
public:
    struct Parts {
        const WorkerOptions& options;
        std::string run_dir;
        WorkerHost& host;
        Processes& processes;
        protocol::ServerLink& link;
        const Clock& clock;
        RandomSource& random;
    };
    explicit WorkerCore(Parts parts) : parts_(std::move(parts)) {}

    // Takes over what a former process of this worker left running. Once, before anything else.
    void adopt_all();
    // Reports, and does what the answer says.
    void exchange();
    // All instances' ends: SIGTERM, then SIGKILL at `kill_at`. No exchange after that.
    void end_engines(SteadyTime kill_at, SteadyTime end_by);
    void stop_exchanging() { ending_ = true; }
    // Nothing is left to end, or the time for it is up.
    bool ended() const { return ending_ && (supervisors_.empty() || parts_.clock.steady() >= end_by_); }

    SteadyTime next_wake() const;   // when on_time() has something to do
    void on_time();
    void on_ended(const InstanceId& id, uint64_t run);
    void on_probed(const InstanceId& id, uint64_t run, const HealthAnswer& answer);
    void on_fetching(const InstanceId& id, uint64_t run, const sources::Progress& progress);
    void on_checked(const InstanceId& id, uint64_t run, const Status& outcome, const std::string& identity);
    void on_devices_changed();

private:
    bool watch(const InstanceId& id, platform::UniqueFd handle, uint64_t run) override { return parts_.host.watch(id, std::move(handle), run); }
    void probe(const InstanceId& id, const std::string& endpoint, const std::string& path, uint64_t run) override {
        parts_.host.probe(id, endpoint, path, run);
    }
    void fetch(const InstanceId& id, const Source& source, uint64_t run) override { parts_.host.fetch(id, source, run); }
    void check(const InstanceId& id, const protocol::InstanceSpec& spec, const std::string& model_path, uint64_t run) override {
        parts_.host.check(id, spec, model_path, run);
    }
    void rotate_log(const InstanceFolder& folder) override { parts_.host.rotate_log(folder); }
    void changed() override;
    void progressed() override;

    SupervisorContext context();
    bool holding();
    protocol::WorkerReport make_report();
    void apply(const protocol::Assignment& assignment);
    void remove_dormant();
    void sweep();
    void sample_memory(SteadyTime now);
    // Runs `use` with the supervisor of that id, if it is still there, and sees to what follows.
    template <class Use>
    void with(const InstanceId& id, Use use) {
        if (const auto found = supervisors_.find(id); found != supervisors_.end()) {
            use(*found->second);
        }
        sweep();
    }

    const Parts parts_;
    OutOfMemoryWatch out_of_memory_;
    std::map<InstanceId, std::unique_ptr<Supervisor>> supervisors_;
    std::set<InstanceId> dormant_;    // folders of a former run without an engine, until the first assignment
    bool first_assignment_seen_ = false;
    std::optional<SteadyTime> hold_until_;
    SteadyTime next_exchange_{};
    SteadyTime next_devices_{};
    SteadyTime next_memory_{};
    devices::ProbeOutcome devices_;
    std::map<int64_t, InstanceId> owners_;   // of the processes of our engines, as of the last look
    bool ending_ = false;             // no more exchanges
    SteadyTime end_by_ = SteadyTime::max();
};

}  // namespace gantry::worker
