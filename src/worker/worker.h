#pragma once
// A worker: devices, model files, and the supervision of engine processes on one machine. Embedded in the server, or on its
// own with a link over the network.
//
// Engines are processes of their own that survive this one (design.md): own session, output to a file, an flock on the
// instance's folder, id and nonce on disk before the spawn, adopted again after a restart. Folder of an instance:
// <data_dir>/instances/<id>/{record.json, lock, exit.json, engine.log, engine.1.log}; sockets in a run folder (paths are short).

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "base/result.h"
#include "protocol/worker/messages.h"
#include "sources/model_files.h"

namespace gantry::worker {

// The times by which an engine is judged. The defaults are the product's; tests make them short.
struct SupervisionPolicy {
    using Milliseconds = std::chrono::milliseconds;
    Milliseconds start_deadline{600'000};       // from the spawn to the first healthy answer
    Milliseconds start_probe_interval{20};      // at first; ten times as long once the start takes its time
    Milliseconds liveness_interval{2'000};      // while running
    Milliseconds liveness_timeout{5'000};       // an answer later than this is a miss
    uint32_t liveness_misses = 3;               // in a row: the engine is killed and started again
    Milliseconds stop_grace{10'000};            // from SIGTERM to SIGKILL
    Milliseconds restart_base{1'000};           // the first restart is at once, then this, doubled each time
    Milliseconds restart_cap{60'000};
    double restart_jitter = 0.2;                // +- this share
    Milliseconds healthy_reset{60'000};         // running for so long forgets the failures before
    uint32_t crash_loop_failures = 5;           // in a row: the reason says so
    Milliseconds model_poll{2'000};             // how often a file that was no model is looked at again
    Milliseconds report_interval{1'000};
    Milliseconds memory_interval{5'000};        // how often resident memory is measured
    uint64_t log_bytes_max = 64u << 20;         // of engine.log: beyond, it becomes engine.1.log and begins anew
    // Called at named points of a spawn ("record_committed", "spawned"), for tests that end the process there.
    std::function<void(std::string_view point)> on_point;
};

struct WorkerOptions {
    std::string data_dir;                 // <server data dir>/worker
    std::string run_dir;                  // for sockets; empty: <data_dir>/run if short enough, else /tmp/gantry-<uid>/<hash>
    std::string gantry_binary;            // empty: /proc/self/exe
    WorkerId id;
    std::string name;                     // empty: host name
    std::string address = "embedded";
    // IPv4, of this machine, where engines of other workers may reach those here, of instances that several run together; empty: nowhere.
    std::string data_address{};
    bool data_address_given = false;      // by a person
    sources::ModelFiles* model_files = nullptr;   // for sources of hubs, which are refused without; outlives the worker
    SupervisionPolicy policy{};
};

class Worker {
public:
    // kConflict, naming the other's pid: another process works in data_dir. kInvalidArgument: run_dir is too long for sockets.
    // Adopts what a former process of this worker left running, then starts its thread, which exchanges with the server at
    // least every second, at once after poke(), and at once when an engine changes state.
    static Result<std::unique_ptr<Worker>> start(WorkerOptions options, protocol::ServerLink& link, const Clock& clock,
                                                 RandomSource& random);
    virtual ~Worker() = default;
    virtual void poke() = 0;              // "there may be a new assignment". Threads: any
    // Ends the thread. `stop_engines`: Ctrl-C, the engines end too (SIGTERM, then SIGKILL after the deadline); else they go on.
    virtual void stop(bool stop_engines, Deadline deadline) = 0;
    // The log files of an instance, oldest first; absent ones left out. Threads: any.
    virtual std::vector<std::string> log_files(const InstanceId& id) const = 0;
};

}  // namespace gantry::worker
