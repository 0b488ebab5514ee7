#pragma once
// Can this model run, where, at what claim, and why: what placement answers, as plain values.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "domain/placement.h"

namespace gantry {

enum class Where { kDevice, kMemory };   // an accelerator's memory (each rank's share), the machine's
const char* to_string(Where where);      // "device", "memory"

struct Term {
    std::string name{};      // "weights", "kv_cache", "compute", "output", "runtime"
    Where where = Where::kMemory;
    uint64_t bytes = 0;    // over all ranks
    std::string formula{};   // "28 layers x 4 KV heads x (128 + 128) x 2 B x 8,192 tokens"
};

struct Estimate {
    std::vector<Term> terms{};
    std::vector<std::string> unknown{};    // what the files do not say and the sum needs: "layers", "KV heads"
    uint64_t memory_bytes = 0;             // of the machine, all ranks of one worker together
    std::vector<uint64_t> rank_bytes{};    // of each rank's device; empty on a CPU
    uint64_t bytes_per_token = 0;          // KV of one more token of context, over all ranks, where it is linear
    uint64_t total() const;
};

struct Correction {
    double factor = 1;             // what an estimate is multiplied with
    size_t runs = 0;               // measured ones that it rests on; 0: none, the factor is 1
};

struct DeviceVerdict {
    DeviceName device;
    std::string name{};                     // "Ascend 910B3"
    uint64_t allocatable_bytes = 0;
    uint64_t needed_bytes = 0;            // of this device, were it chosen; 0: never got that far
    bool chosen = false;
    std::string rule{};                     // the filter that refused it, or "capacity"; empty: it would do
    std::string reason{};
};
struct ScorePart {
    std::string scorer{};                   // "room", "locality", "same_deployment"
    double score = 0;                     // 0..100, before the weight
    double weight = 0;
    std::string reason{};
};
struct WorkerVerdict {
    WorkerId worker_id;
    std::string name{};
    std::string rule{};                     // the filter that refused it; empty: none did
    std::string reason{};
    std::vector<DeviceVerdict> devices{};
    std::optional<Placement> candidate{};   // the best of this worker
    std::vector<ScorePart> scores{};
    double total = 0;
};

enum class Verdict {
    kFits,
    kDoesNotFit,      // no device has the room now; `suggestions` say what would help
    kIncompatible,    // no backend, file format, system or chip of any worker goes together, whatever the room
    kUnknown,         // the model's files do not say enough (or can't be read) to know
};
const char* to_string(Verdict verdict);   // "fits", "does_not_fit", "incompatible", "unknown"

// A change that makes it fit, tried and found true.
struct Suggestion {
    std::string change{};      // "context_tokens", "max_sequences", "kv_type", "cpu_offload", "device_count", "quantization", "stop", "backend"
    std::string value{};       // "8192"
    std::string text{};        // for a person
};

struct Decision {
    Verdict verdict = Verdict::kUnknown;
    std::optional<Placement> placement{};
    Estimate estimate;                     // of the placement; where there is none, of the smallest shape asked for
    Correction correction;
    std::vector<WorkerVerdict> workers{};    // all, in the snapshot's order; only where asked for
    std::vector<Suggestion> suggestions{};   // only where asked for, and nothing fits
    std::string reason{};                    // one line: why it goes there, or why nowhere
};

}  // namespace gantry
