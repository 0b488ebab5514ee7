#pragma once
// A worker's link to its server over the network (ADR 11), which it dials: reports out and assignments in, the server's events, and
// connections kept ready for the server to reach the engines here, and the worker's own HTTP (@worker: logs). It tries for ever; while
// the server is away the engines run on.
// Threads: its own io thread; the functions below from any.

#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "worker/remote/identity.h"
#include "worker/worker.h"

namespace gantry::worker {

struct RemoteOptions {
    std::string server;                          // endpoint: "tls:HOST:PORT"
    std::string data_dir;                        // where identity.json is; renewed certificates go there
    Identity identity;
    // Both once, on the io thread: the server says that this worker is none of its; the server is too old for this worker (versions.h).
    std::function<void(std::string why)> removed;
    std::function<void(std::string why)> outgrown;
};

class RemoteLink {
public:
    static Result<std::unique_ptr<RemoteLink>> make(RemoteOptions options, const Clock& clock, RandomSource& random);
    virtual ~RemoteLink() = default;             // ends what goes on
    virtual protocol::ServerLink& reports() = 0; // for Worker::start
    // What this worker's downloads ask before a hub: for sources::ModelFiles::Options.
    virtual const std::string& near_socket() const = 0;
    // The worker's model files, for the server to see and for other workers to take. Before start(); outlives stop().
    virtual void offer(sources::ModelFiles& files) = 0;
    virtual void start(Worker& worker) = 0;      // which outlives stop()
    virtual void stop() = 0;
};

}  // namespace gantry::worker
