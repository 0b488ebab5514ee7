#pragma once
// What a server and a worker tell each other. In one process these values pass by reference; between machines they pass as
// JSON (codec.h, ADR 11). The worker sends a WorkerReport whenever something changed and at least every second; the answer is
// the full list of what it should run (level-triggered: no deltas to lose).

#include <string>
#include <vector>

#include "domain/deployment.h"
#include "domain/device.h"
#include "domain/instance.h"
#include "domain/worker.h"

namespace gantry::protocol {

// A part of an instance that several workers run together, as the other parts see it.
struct Peer {
    WorkerId worker_id{};
    std::string address{};                        // its worker's data_address; empty: unknown
    uint32_t port = 0;                            // where its process is reached in this attempt; 0: unknown yet, or it is not
    std::vector<std::string> device_addresses{};  // of the network ports of its claimed devices, where they have such (Ascend)

    bool operator==(const Peer&) const = default;
};

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
    // Of an instance that several workers run together (docs/multi-worker.md); of any other 0 and empty.
    uint32_t part = 0;               // of placement.workers(); 0 leads
    uint32_t attempt = 0;            // one run of all parts, from 1: it grows when a part's process has ended. Each part starts once in each
    std::string waits_for{};         // not to be started in this attempt yet, and why; what runs in it runs on
    std::vector<Peer> peers{};       // all of them, by part

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
    // Of a part of an instance that several workers run.
    uint32_t attempt = 0;                // in which its process runs, or the next in which it could start; 0: it is no part
    bool prepared = false;               // it runs in that attempt, or has all that it needs to start in it
    uint32_t peer_port = 0;              // where the other parts reach its process, at the worker's data_address; 0: not (yet)

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
    std::vector<BackendProgram> programs{};   // as in domain/worker.h
    std::string data_address{};      // the same
    bool data_address_given = false; // by a person; else it is the one by which the worker reaches the server
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
