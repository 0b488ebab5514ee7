#pragma once
// An instance: one running copy of a deployment: one engine process, or one on each of several workers that compute together.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "domain/placement.h"

namespace gantry {

// What leads to each state; the reason text beside it says the rest.
enum class InstanceState {
    kPending,      // wanted, no worker chosen yet (reconciler), or nowhere to place it: the reason says why
    kScheduled,    // a worker is chosen (reconciler)
    kDownloading,  // the worker fetches the model's files
    kStarting,     // the engine process exists and loads the model; `progress` grows
    kRunning,      // its health check answers: it gets requests
    kStopping,     // no longer wanted: no new requests, the process is asked to end
    kError,        // it died or never started; the reason says why, and when the next try comes, if one does
    kUnreachable,  // its worker's reports are missing
};
const char* to_string(InstanceState state);
std::optional<InstanceState> instance_state_from(const std::string& text);

// Where an engine listens, as text: "unix:/run/x.sock" or "tcp:127.0.0.1:40001"; empty: not yet.
using Endpoint = std::string;

// One worker's part of an instance that several run together: a process of its own there. The first leads, and answers requests.
struct InstancePart {
    WorkerId worker_id{};
    InstanceState state = InstanceState::kScheduled;
    std::string reason{};
    double progress = 0;
    int64_t pid = 0;
    uint32_t restarts = 0;
    uint64_t memory_bytes = 0;
};

struct Instance {
    // Written by the reconciler.
    InstanceId id;
    DeploymentId deployment_id;
    uint32_t index = 0;            // 0-based replica number; the smallest free one
    int64_t generation = 1;        // of the deployment, when it was made
    WorkerId worker_id;            // the leading worker of `placement`; empty: not placed
    Placement placement{};
    bool stopping = false;         // desired: gone
    WallTime created_at{};

    // Observed: written by heartbeat only, from the worker's reports (kPending/kScheduled: by the reconciler at creation).
    InstanceState state = InstanceState::kPending;
    std::string reason;            // for a person; empty where the state says all
    WallTime state_since{};
    double progress = 0;           // 0..1 while downloading or starting
    Endpoint endpoint;
    std::string api_key;           // the engine's own random key, empty on a Unix socket; never shown
    int64_t pid = 0;
    uint32_t restarts = 0;
    uint64_t memory_bytes = 0;         // resident, measured
    uint64_t memory_private_bytes = 0; // of these, what no file on disk backs: what the machine misses while it runs
    uint64_t memory_peak_bytes = 0;    // the most that was resident of this process since it started (VmHWM)
    std::vector<InstancePart> parts{}; // of one on several workers, in the order of placement.workers(); else empty. Not stored

    // It may have a process there.
    bool is_on(const WorkerId& worker) const;
    std::vector<WorkerId> workers() const;   // the leading one first; empty: not placed
};

}  // namespace gantry
