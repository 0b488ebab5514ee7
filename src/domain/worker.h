#pragma once
// A worker: one machine that runs engines. Its devices as its last report had them.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "domain/device.h"

namespace gantry {

enum class WorkerState {
    kPending,      // known, has not reported yet
    kReady,        // reports
    kUnreachable,  // reports are missing
    kDraining,     // asked to take no new instances
};
const char* to_string(WorkerState state);
std::optional<WorkerState> worker_state_from(const std::string& text);

// What a worker has of a backend: the program that a deployment gets which names none, found without running it.
struct BackendProgram {
    struct Refusal {                // of one of the worker's devices, by this very program
        std::string vendor{};
        uint32_t index = 0;
        std::string reason{};       // "this vLLM is its CPU build (0.32.0+cpu); install the one for nvidia"

        bool operator==(const Refusal&) const = default;
    };
    std::string backend{};          // "vllm"; a word, since a newer worker may have one that is unknown here
    std::string path{};             // empty: it is not there
    std::string version{};          // empty: unknown
    std::vector<Refusal> refusals{};

    bool operator==(const BackendProgram&) const = default;
};

struct Worker {
    WorkerId id;
    std::string name{};              // host name unless set
    std::string address{};           // "embedded" for the server's own
    std::string version{};           // of its gantry
    std::map<std::string, std::string> labels{};   // desired: what deployments choose workers by
    bool cordoned = false;         // desired: takes no new instances
    std::optional<WallTime> drain_by{};   // desired: none at all; they move away as others take over, and end at this time
    int64_t version_number = 1;    // for optimistic edits
    WallTime created_at{};
    // Observed: written by heartbeat only.
    WorkerState state = WorkerState::kPending;
    WallTime last_report_at{};
    std::string os{};                          // "linux"
    std::string arch{};                        // "x86_64", "aarch64"
    std::vector<Device> devices{};
    std::string data_address{};                // IPv4, at which engines of other workers reach its own; empty: it knows none. Not stored
    std::vector<BackendProgram> programs{};    // of each backend that has one; empty: it has not said, or is of before that. Not stored
    std::vector<std::string> device_notes{}; // why a vendor's devices were not found: "ascend: npu-smi is not in PATH"
};

}  // namespace gantry
