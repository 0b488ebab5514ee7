#pragma once
// A backend is an engine product: how to start one for an instance, and how to see that it is ready. A file each; one line
// each in the table in backends.cc. No process is started here; files are looked at (is the program there, which version is it).
// What it says while it loads is read by progress.h, its metrics by metrics_names.h.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "domain/deployment.h"
#include "domain/device.h"
#include "domain/model.h"
#include "domain/placement.h"
#include "domain/worker.h"

namespace gantry::backends {

// How the parts of an instance that several workers run come together (docs/multi-worker.md).
struct Spanning {
    enum class Split {
        kLayers,    // each device gets layers, as many as it has room for (llama.cpp)
        kStages,    // each worker gets layers and cuts their tensors over its devices; as many equal devices on each
        kTensors,   // tensors are cut over all devices of all; as many equal devices on each
    };
    Split split = Split::kLayers;
    bool followers_first = false;     // they listen, and the leading part connects to them; else the leading one listens
    bool leader_has_files = false;    // the others need no file of the model
};

// Of one part of such an instance.
struct SpanInput {
    struct Peer {
        std::string address{};
        uint16_t port = 0;
        std::vector<DeviceClaim> claims{};              // of it alone
        std::vector<std::string> device_addresses{};    // of network ports of their own, in the order of the accelerators among the claims
    };
    uint32_t part = 0;            // 0 leads
    std::vector<Peer> peers{};    // by part, this one as well: its own port is free to listen on at its address

    const Peer& own() const { return peers[part]; }
    const Peer& leader() const { return peers.front(); }
};

struct LaunchInput {
    std::string gantry_binary;      // for the embedded engine: /proc/self/exe of the worker
    std::string model_path;         // absolute, checked; of a folder with one GGUF model that file, for llama.cpp's backends
    std::string tower_path;         // the tower for pictures (mmproj) that belongs to it; empty: none
    std::string name;               // the deployment's
    std::string socket_path;        // free to listen on, if the backend can
    uint16_t port = 0;              // a free loopback port, if it can't
    std::string api_key;            // random, for backends that take one
    std::string exit_file;
    std::string packed_folder;      // of this worker, for what engines keep of models between starts; empty: their own choice
    std::string work_folder;        // the instance's own: for files that a backend must write (write_file below)
    BackendOptions options;
    Placement placement{};          // what was decided, with the claims on this worker; empty: nothing, the backend's own defaults
    std::optional<SpanInput> span{};   // other workers compute with this one
    std::vector<Device> devices{};  // of this worker: names and chips of what `placement` claims
};

// How it is seen that a process is ready, and well.
enum class HealthCheck {
    kAnswers,   // it answers 200 at a path, again and again
    kListens,   // a connection to its endpoint comes about; not asked again
    kLives,     // it has no endpoint: as long as it lives
};

struct LaunchPlan {
    std::vector<std::string> argv;              // argv[0] an absolute path or a name looked up in PATH; no shell, ever
    std::map<std::string, std::string> env;     // added to PATH, HOME, LANG, TMPDIR
    std::string endpoint;                       // "unix:..." or "tcp:127.0.0.1:PORT"
    std::string api_key;                        // what the gateway must send; empty: none
    HealthCheck health = HealthCheck::kAnswers;
    std::string health_path;                    // of kAnswers
    bool writes_exit_file = false;
    uint16_t peer_port = 0;                     // where the other parts reach it: told to them once it is ready, or, of a leading part, at once
    std::map<std::string, std::string> files{};   // by name: written into the work folder, mode 0600, before the start
};

// What a backend can run at all, for placement: pure facts, with the reason where the answer is no.
struct Refusal {
    std::string reason;             // "vLLM does not run on Ascend 310P: vllm-ascend supports 910B, 910C and ..."
};

// What it is, for people.
struct About {
    std::string_view title;                       // "vLLM"
    std::string_view summary;                     // one line
    std::string_view homepage;                    // empty: Gantry's own
    std::string_view program;                     // by which name it is looked for in PATH; empty: it needs no search
    std::string_view install;                     // how a machine gets it: "pip install vllm"
    std::vector<std::string_view> formats;        // of models, as in ModelMeta; empty: whatever the program takes
    std::vector<std::string_view> modalities;     // the same
};

struct FlagRules;   // flags.h

class Backend {
public:
    virtual ~Backend() = default;
    virtual About about() const = 0;
    // By the model's format, architecture and modality.
    virtual std::optional<Refusal> refuses_model(const ModelMeta& meta) const = 0;
    // By the worker's os ("linux") and arch ("x86_64"), and one of its devices; cpu: it would compute in memory alone.
    virtual std::optional<Refusal> refuses_device(const std::string& os, const std::string& arch, const Device& device) const = 0;
    // The same for the very program that `options` names, by a look at what lies beside it: "this vLLM is its CPU build
    // (0.32.0+cpu)". Only where the program is, on its worker; nothing where the files don't tell. launch() asks it too.
    virtual std::optional<Refusal> program_refuses(const BackendOptions&, const Device&) const { return std::nullopt; }
    // True: layers that find no room on devices may stay in memory.
    virtual bool can_offload() const = 0;
    // How one instance may use devices of several workers; nothing: it can't.
    virtual std::optional<Spanning> spanning() const { return std::nullopt; }
    // What extra_args may hold; null: whatever the program takes.
    virtual const FlagRules* flag_rules() const { return nullptr; }
    // What options.kv_type may be; empty: it can't be chosen.
    virtual std::vector<std::string_view> kv_types() const { return {}; }
    // The path of the program that `options` names, or of the one in PATH. kInvalidArgument with the reason "backend_missing".
    virtual Result<std::string> program(const BackendOptions& options) const = 0;
    // The version of the program that `options` names, found without running it; empty: unknown.
    virtual std::string version(const BackendOptions& options) const = 0;
    // kInvalidArgument with the field in `param` when the options can't work: an unknown placeholder, a flag that would open the
    // engine to others (--host, --port, --api-key in extra_args), LD_PRELOAD and the like in env; last, with the reason
    // "backend_missing", a binary that isn't there.
    virtual Status validate(const BackendOptions& options) const = 0;
    virtual Result<LaunchPlan> launch(const LaunchInput& input) const = 0;
};

const Backend& backend(BackendKind kind);

// What this machine has of each backend that a deployment need not name a program for. A look at folders, some milliseconds.
std::vector<BackendProgram> find_programs(const std::vector<Device>& devices);

// False: it is known to take text alone, whatever its model is for: the embedded engine, and llama-server without a tower for pictures.
// Of others, and where the model's files are unknown, the program itself says it to whoever asks.
bool takes_pictures(BackendKind kind, const BackendOptions& options, const ModelMeta& meta);

// How many sequences vLLM computes at once on such devices where the deployment does not say: what it is told and what is booked.
uint32_t vllm_sequences(const std::string& vendor);

}  // namespace gantry::backends
