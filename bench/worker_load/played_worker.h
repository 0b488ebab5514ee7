#pragma once
// A worker whose machine and engines are made up, with a link that is real: it joins, dials, keeps connections ready and reports as
// `gantry worker` does. Its devices' figures change with each report, as those of a machine at work. What it is assigned is starting at
// the next report and running at the one after it.
// Threads: turn() from one; what the link calls from its own.

#include <atomic>
#include <map>
#include <memory>
#include <string>

#include "worker/remote/remote_link.h"

namespace gantry::load {

struct Played {
    std::string server;          // endpoint: "tls:HOST:PORT"
    std::string token;
    std::string folder;          // of this worker alone
    std::string name;
    uint32_t accelerators = 8;
    std::string engine;          // endpoint of what answers for every engine
};

class PlayedWorker final : public worker::Worker {
public:
    // Joins, unless the folder says that it did before, and starts its link. Blocks.
    static Result<std::unique_ptr<PlayedWorker>> start(const Played& played);
    ~PlayedWorker() override { stop(false, Deadline()); }

    // When it reports first: the reports of many are spread over the second.
    void report_from(SteadyTime first) { next_ = first; }
    // Reports where that is due.
    void turn(SteadyTime now);
    uint64_t reports() const { return reports_; }

    void poke() override { poked_ = true; }
    void stop(bool stop_engines, Deadline deadline) override;
    std::vector<std::string> log_files(const InstanceId&) const override { return {}; }

private:
    PlayedWorker(Played played, worker::Identity identity) : played_(std::move(played)), identity_(std::move(identity)) {}
    protocol::WorkerReport report();
    std::vector<Device> devices();

    const Played played_;
    const worker::Identity identity_;
    std::unique_ptr<worker::RemoteLink> link_;
    std::map<InstanceId, protocol::InstanceReport> instances_;
    std::atomic<bool> poked_{false};
    SteadyTime next_{};
    uint64_t reports_ = 0;
};

}  // namespace gantry::load
