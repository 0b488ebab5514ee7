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

struct Deployment {
    DeploymentId id;
    std::string name{};                 // unique; the public model name on /v1
    std::string source{};               // "file:/abs/path.gguf"
    BackendKind backend = BackendKind::kEngine;
    BackendOptions options;
    PlacementOptions placement{};
    uint32_t replicas = 1;
    bool stopped = false;             // desired: no instances, but keep the deployment
    int64_t version = 1;              // grows with every change of any field: for optimistic edits
    int64_t generation = 1;           // grows when what an instance runs changes (source, backend, options, placement)
    WallTime created_at{};
    WallTime updated_at{};
};

// What a deployment's name may be: 1 to 128 of [A-Za-z0-9._:/-], starting with a letter or digit, no "..", no "//".
bool valid_deployment_name(const std::string& name);

inline constexpr uint32_t kReplicasMax = 64;

}  // namespace gantry
