#pragma once
// What a server and a worker tell each other. In one process these values pass by reference; between machines they pass as
// JSON (codec.h, ADR 11). The worker sends a WorkerReport whenever something changed and at least every second; the answer is
// the full list of what it should run (level-triggered: no deltas to lose).

#include <string>
#include <vector>

#include "domain/deployment.h"
#include "domain/device.h"
#include "domain/instance.h"

namespace gantry::protocol {

// What a worker needs to run one instance.
struct InstanceSpec {
    InstanceId id;
    DeploymentId deployment_id;
    std::string deployment_name;     // the public model name
    uint32_t index = 0;
    int64_t generation = 1;
    std::string source;              // as domain/source.h writes it
    BackendKind backend = BackendKind::kEngine;
    BackendOptions options;
    Placement placement;             // claims of all its workers; a worker looks at its own

    bool operator==(const InstanceSpec&) const = default;
};

struct Assignment {
    std::vector<InstanceSpec> run;   // whatever else the worker has, it stops
    std::string revision{};          // the same for the same list, another for another; "": nobody numbered it
    bool unknown = false;            // the server has not said yet, `run` means nothing: what runs, runs on. Never sent

    bool operator==(const Assignment&) const = default;
};

// What a worker sees of one instance it runs, or is stopping. Once stopped it is absent from the report.
struct InstanceReport {
    InstanceId id;
    InstanceState state = InstanceState::kScheduled;
    std::string reason;
    WallTime state_since{};
    double progress = 0;
    Endpoint endpoint;
    std::string api_key;
    int64_t pid = 0;
    uint32_t restarts = 0;
    uint64_t memory_bytes = 0;           // as in domain/instance.h, all three
    uint64_t memory_private_bytes = 0;
    uint64_t memory_peak_bytes = 0;

    bool operator==(const InstanceReport&) const = default;
};

struct WorkerReport {
    WorkerId worker_id;
    std::string name;
    std::string address;
    std::string version;
    std::string os, arch;
    std::vector<Device> devices;
    std::vector<std::string> device_notes;
    std::vector<InstanceReport> instances;
    // The revision of the assignment that the worker had acted on when it made this; "": the answer to its last report, as it is
    // where both are one process. What is absent from a report is gone only if the assignment behind it lacked it.
    std::string applied{};

    bool operator==(const WorkerReport&) const = default;
};

// The worker's side of the link. Threads: called from the worker's own thread.
class ServerLink {
public:
    virtual ~ServerLink() = default;
    virtual Assignment exchange(const WorkerReport& report) = 0;
};

}  // namespace gantry::protocol
