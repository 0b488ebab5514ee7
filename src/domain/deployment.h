#pragma once
// A deployment: desired state. A model, a backend with its options, a number of replicas.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "domain/placement.h"

namespace gantry {

// The engine product that serves an instance. One file each in src/backends/.
enum class BackendKind { kEngine, kLlamaServer, kVllm, kSglang, kMindie, kCustom };
inline constexpr BackendKind kBackendKinds[] = {BackendKind::kEngine, BackendKind::kLlamaServer, BackendKind::kVllm,
                                                BackendKind::kSglang, BackendKind::kMindie,      BackendKind::kCustom};
// "engine", "llama-server", "vllm", "sglang", "mindie", "custom"
const char* to_string(BackendKind kind);
std::optional<BackendKind> backend_kind_from(const std::string& text);

struct BackendOptions {
    // All backends. 0: the backend's own default (docs: the model's context cut to what fits; as many threads as cores).
    uint32_t context_tokens = 0;
    uint32_t max_sequences = 0;
    uint32_t threads = 0;
    std::vector<std::string> extra_args{};         // appended to the command; never through a shell
    std::map<std::string, std::string> env{};      // added to a minimal environment
    std::string kv_type{};                         // of the KV cache: "f16", "q8_0", "fp8"; empty: the backend's default
    // llama-server, vllm, sglang, mindie: the program; empty: found in PATH.
    std::string binary{};
    // custom: argv, with {{model}}, {{port}}, {{name}}, {{devices}} replaced inside each word.
    std::vector<std::string> command{};
    std::string health_path{};                     // custom; empty: "/health"

    bool operator==(const BackendOptions&) const = default;
};

// How a change of what instances run is brought to them.
enum class UpdateStrategy {
    kRolling,    // new instances beside the old ones, which go as the new ones serve
    kRecreate,   // all old ones go before the first new one starts: where two never fit, with a gap
};
const char* to_string(UpdateStrategy strategy);
bool from_text(const std::string& text, UpdateStrategy& strategy);   // false: there is none of that name

struct RolloutOptions {
    UpdateStrategy strategy = UpdateStrategy::kRolling;
    uint32_t max_surge = 1;          // instances beyond `replicas` while it lasts; 0: an old one goes first
    uint32_t max_unavailable = 0;    // replicas that may be missing, used only where no further instance finds room
    uint32_t ready_seconds = 900;    // a new instance that is not ready so long after its last sign of progress has failed
    uint32_t drain_seconds = 300;    // requests in flight on an old instance get so long to end

    bool operator==(const RolloutOptions&) const = default;
};

struct Deployment {
    DeploymentId id;
    std::string name{};                 // unique; the public model name on /v1
    std::string source{};               // as domain/source.h writes it
    BackendKind backend = BackendKind::kEngine;
    BackendOptions options;
    PlacementOptions placement{};
    uint32_t replicas = 1;
    bool stopped = false;             // desired: no instances, but keep the deployment
    int64_t version = 1;              // grows with every change of any field: for optimistic edits
    // Of the revision that is wanted: what instances run (source, backend, options, placement). A change of that is a new
    // number; a rollback or an automatic revert is an older one again.
    int64_t generation = 1;
    WallTime created_at{};
    WallTime updated_at{};
    RolloutOptions rollout{};
    int64_t newest_generation = 1;    // the highest that was ever given out
    std::string notice{};             // why its last update was taken back, until the next edit; empty: it was not
    uint32_t idle_timeout_seconds = 0;   // without a request for so long it is put to sleep; 0: never
    // No instances until a request wakes it. No edit: the version stays.
    std::optional<WallTime> asleep_since{};
};
// How many instances there should be now: none of a deployment that is stopped or asleep.
uint32_t instances_wanted(const Deployment& deployment);

// What instances of one generation run.
struct Revision {
    DeploymentId deployment_id{};
    int64_t generation = 1;
    std::string source{};
    BackendKind backend = BackendKind::kEngine;
    BackendOptions options{};
    PlacementOptions placement{};
    WallTime created_at{};
    std::optional<WallTime> good_at{};   // when all replicas ran it last; none: they never did
};
Revision revision_of(const Deployment& deployment);
// The deployment wants this revision (again). version and times are the caller's.
void take_revision(Deployment& deployment, const Revision& revision);
// Null: it is not among them (any more).
const Revision* find_revision(const std::vector<Revision>& revisions, const DeploymentId& deployment, int64_t generation);
// The revision that served last, of this deployment; null: none did yet.
const Revision* last_good(const std::vector<Revision>& revisions, const DeploymentId& deployment);
inline constexpr int64_t kRevisionsKept = 10;   // the newest; and those in use

// What a deployment's name may be: 1 to 128 of [A-Za-z0-9._:/-], starting with a letter or digit, no "..", no "//".
bool valid_deployment_name(const std::string& name);

inline constexpr uint32_t kReplicasMax = 64;
inline constexpr uint32_t kIdleTimeoutSecondsMax = 30 * 24 * 3600;

}  // namespace gantry
