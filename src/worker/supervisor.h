#pragma once
// The life of one instance on this worker:
//
//   (fetching ->) checking -> starting -> running
//      ^                         |           |
//      |                         v           v        ending: asked to end, then made to
//    waiting <-------------- failed <--------+        gone:   nothing of it is left
//
// A part of an instance that several workers run together (docs/multi-worker.md) is held between checking and starting, until the server
// says that the others are ready for it; and once its process has ended it starts in the next attempt only, as all of them do.
//
// A state machine that is told what happened (assigned, unassigned, ended, answered, time passed) and is asked for a report.
// Threads: the worker's io thread only.

#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/platform/process.h"
#include "domain/source.h"
#include "protocol/worker/messages.h"
#include "sources/model_files.h"
#include "worker/adoption.h"
#include "worker/health.h"
#include "worker/instance_folder.h"
#include "worker/launch.h"
#include "worker/log_blanker.h"
#include "worker/out_of_memory.h"
#include "worker/restart_policy.h"

namespace gantry::worker {

// What a supervisor asks of the loop around it. Answers come back through the supervisor's on_* functions, by id, so that an
// answer to an instance that is gone meets nobody.
class SupervisorHost {
public:
    virtual ~SupervisorHost() = default;
    // -> on_ended, once the process has ended. False: it can't be watched (handles, memory).
    virtual bool watch(const InstanceId& id, platform::UniqueFd handle, uint64_t run) = 0;
    virtual void probe(const InstanceId& id, const std::string& endpoint, const std::string& path, uint64_t run) = 0;
    // -> on_fetching, again and again, until it is ready or has failed. A later call for the same id replaces it.
    virtual void fetch(const InstanceId& id, const Source& source, uint64_t run) = 0;
    // -> on_checked
    virtual void check(const InstanceId& id, const protocol::InstanceSpec& spec, const std::string& model_path, uint64_t run) = 0;
    virtual void rotate_log(const InstanceFolder& folder) = 0;
    virtual void changed() = 0;                                                             // a report is due at once
    virtual void progressed() = 0;                                                          // a report is due soon
};

struct SupervisorContext {
    SupervisorHost& host;
    const Clock& clock;
    LaunchContext launch;
    const OutOfMemoryWatch& out_of_memory;
};

class Supervisor {
public:
    Supervisor(const SupervisorContext& context, InstanceId id, InstanceFolder folder);

    // Takes over an engine that a former worker left running. REQUIRES: adoption.watch is valid
    void adopt(Adoption adoption);
    // It should run this. May be called again and again; a spec that says something else ends the engine and starts anew.
    void want(const protocol::InstanceSpec& spec);
    // It should not run. `keep_folder`: this worker ends, the instance does not. `kill_at`: SIGKILL then, if not earlier.
    void stop(bool keep_folder, SteadyTime kill_at = SteadyTime::max());

    const InstanceId& id() const { return id_; }
    bool gone() const { return phase_ == Phase::kGone; }
    bool awaits_first_answer() const { return adopted_ && phase_ == Phase::kStarting && probes_answered_ == 0; }
    int64_t pid() const { return has_process() ? record_.process.pid : 0; }
    const InstanceFolder& folder() const { return folder_; }
    void set_memory(const platform::GroupMemory& memory);
    protocol::InstanceReport report() const;

    // When on_time() has something to do; max: not before something else happens.
    SteadyTime next_wake() const;
    void on_time();
    void on_ended(uint64_t run);
    void on_probed(uint64_t run, const HealthAnswer& answer);
    void on_fetching(uint64_t run, const sources::Progress& progress);
    void on_checked(uint64_t run, const Status& outcome, const std::string& identity);

private:
    enum class Phase {
        kIdle,       // adopted or made, nothing to do yet
        kFetching,   // the model's files are on their way from a hub
        kChecking,   // the model file's header is being read
        kWaiting,    // failed; another try comes at wake_
        kRefused,    // the model file is none; another try comes when it changes
        kHeld,       // a part that may not start yet: the server says when
        kClearing,   // what a former run left behind is being ended before the next spawn
        kStarting,
        kRunning,
        kEnding,     // signalled; its end comes through on_ended
        kGone,
    };
    bool has_process() const { return phase_ == Phase::kStarting || phase_ == Phase::kRunning || phase_ == Phase::kEnding; }

    void enter(Phase phase, InstanceState state, std::string reason);
    void take_news(const protocol::InstanceSpec& spec);
    void begin_check();
    void start();
    std::string held_by() const;
    void became_ready();
    void fetch_failed(const Error& error);
    void launch();
    void begin_run(InstanceRecord record, platform::UniqueFd watch, bool adopted);
    void end_process(std::string why, bool failure, std::chrono::milliseconds grace);
    void fail(const std::string& why, bool crashed);
    void wait_for_clearing(SteadyTime now);
    void finish_stop();
    void answered_starting(const HealthAnswer& answer);
    void missed(const HealthAnswer& answer);
    void check_log_size(SteadyTime now);
    std::string why_ended();
    std::string last_words() const;
    std::chrono::milliseconds start_probe_delay() const;

    SupervisorContext context_;
    const SupervisionPolicy& policy_;
    const InstanceId id_;
    const InstanceFolder folder_;
    RestartPolicy restarts_policy_;

    std::optional<protocol::InstanceSpec> spec_;   // none: adopted and not yet assigned
    std::string wanted_hash_;                      // of spec_
    Phase phase_ = Phase::kIdle;
    InstanceRecord record_;                        // of the process, while there is one
    LogBlanker blanker_{{}};                       // of its log, until it is ready: what engines print of their settings they print first
    bool adopted_ = false;
    bool started_before_ = false;
    uint64_t run_ = 0;                             // grows with each spawn and check: an answer to an older one is dropped

    bool stopping_ = false;
    bool keep_folder_ = false;
    SteadyTime kill_at_ = SteadyTime::max();       // while ending
    bool killed_ = false;
    std::string end_reason_;                       // why we end it
    bool ended_by_us_ = false;
    bool end_is_failure_ = false;

    SteadyTime wake_ = SteadyTime::max();          // while waiting, refused or clearing
    SteadyTime started_at_{};
    SteadyTime next_probe_ = SteadyTime::max();
    SteadyTime next_log_check_ = SteadyTime::max();
    SteadyTime clearing_since_{};
    bool probing_ = false;
    uint64_t probes_answered_ = 0;
    uint32_t misses_ = 0;
    std::string last_answer_;
    std::string last_failure_;
    std::string model_path_;                       // of spec_, on this machine; empty: its files are not here yet
    std::string file_identity_;

    InstanceState state_ = InstanceState::kScheduled;
    std::string reason_;
    WallTime state_since_{};
    double progress_ = 0;
    uint32_t restarts_ = 0;
    uint32_t last_attempt_ = 0;                    // of a part: in which it was started last
    uint64_t memory_bytes_ = 0;
    uint64_t memory_private_bytes_ = 0;
    uint64_t memory_peak_bytes_ = 0;               // of this run
};

}  // namespace gantry::worker
