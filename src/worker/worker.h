#pragma once
// A worker: devices, model files, and the supervision of engine processes on one machine. Embedded in the server, or on its
// own with a link over the network.
//
// Engines are processes of their own that survive this one (design.md): own session, output to a file, an flock on the
// instance's folder, id and nonce on disk before the spawn, adopted again after a restart. Folder of an instance:
// <data_dir>/instances/<id>/{record.json, lock, exit.json, engine.log, engine.1.log}; sockets in a run folder (paths are short).

#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/ids.h"
#include "base/result.h"
#include "protocol/worker/messages.h"

namespace gantry::worker {

struct WorkerOptions {
    std::string data_dir;                 // <server data dir>/worker
    std::string run_dir;                  // for sockets; empty: <data_dir>/run if short enough, else /tmp/gantry-<uid>/<hash>
    std::string gantry_binary;            // empty: /proc/self/exe
    WorkerId id;
    std::string name;                     // empty: host name
    std::string address = "embedded";
};

class Worker {
public:
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
