// MindIE, Huawei's engine for Ascend: its service, mindieservice_daemon, with a config.json of the instance's own. Looked
// at: the sources and documents of MindIE-LLM 3.0.0 to master of 2026-05-30 (gitcode.com/Ascend/MindIE-LLM), the documents
// of MindIE 1.0.RC2 to 2.3.0 (hiascend.com), GPUStack's use of it. NOT TESTED ON HARDWARE: what is tested is what it would
// start.
//
//   program   .../mindie/latest/mindie-service/bin/mindieservice_daemon (.run package, Huawei's images), or
//             mindie_llm_server of the Python package (3.0 and later), from PATH, by path, or where the package puts it. Or
//             a script of yours that sources what you like and ends in `exec .../mindieservice_daemon`
//   settings  config.json in the work folder, mode 0600 (MindIE refuses more than 0640 and files of others), named by
//             MIES_CONFIG_JSON_PATH, whose value it takes up to 256 characters long
//   port      127.0.0.1, one for inference, management and metrics; no key: MindIE knows none, so that other users of this
//             machine reach it past the gateway. Ready when /v1/models answers: the daemon listens when its models are
//             loaded
//   devices   ASCEND_RT_VISIBLE_DEVICES, in which npuDeviceIds then count from 0; worldSize = ranks
//   several   workers: a rank table (RANK_TABLE_FILE, before 2.0 RANKTABLEFILE) with each NPU's address on its own network, which
//             /etc/hccn.conf tells; multiNodesInferEnabled, and multiNodesInferPort of the leading one (hiascend.com, mindie
//             2.3.0, envdeployment/instg/mindie_instg_0027). npuDeviceIds and worldSize are not read then. The API listens at
//             the worker's data address instead of 127.0.0.1, and it has no key: docs/multi-worker.md
//   memory    NPU_MEMORY_FRACTION from what placement booked (MindIE's default: 0.8 of the device)
//   paths     LD_LIBRARY_PATH, PYTHONPATH and the rest are derived (ascend_environment.h): four set_env.sh scripts set
//             them, and no shell runs here. Of mindie-llm's own script it does not take over that it empties /dev/shm
//   310P      computes in float16 only; launch() refuses a model whose config.json says bfloat16

#include "backends/table.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

#include <fmt/format.h>

#include "backends/architectures.h"
#include "backends/ascend_environment.h"
#include "backends/checks.h"
#include "backends/mindie_config.h"
#include "backends/python_program.h"
#include "backends/visible_devices.h"
#include "base/json.h"

namespace gantry::backends {
namespace {

namespace fs = std::filesystem;

constexpr char kInstalled[] = "/usr/local/Ascend/mindie/latest/mindie-service/bin/mindieservice_daemon";
constexpr char kConfigFile[] = "config.json";
constexpr size_t kConfigPathMax = 256;   // MAX_ENV_LENGTH in src/utils/env_util.cpp
constexpr std::streamsize kModelConfigBytesMax = 1 << 20;

bool is_there(const fs::path& path) {
    std::error_code error;
    return fs::exists(path, error);
}

constexpr char kInstall[] = "Huawei's image, or its .run package";

// Where the service's own bin, lib and conf are.
std::string home_of(const std::string& program) {
    const std::string package = package_folder(program, "mindie_llm");   // of the Python package
    return package.empty() ? fs::path(program).parent_path().parent_path().string() : package;
}

// 1 to 256 letters, digits and - . _, none of these at an end (service_parameter_configuration.md).
bool valid_model_name(const std::string& name) {
    const auto inner = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '.' || c == '_'; };
    const auto at_end = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; };
    return !name.empty() && std::all_of(name.begin(), name.end(), inner) && at_end(name.front()) && at_end(name.back());
}

// "bfloat16", from the model's config.json; empty: it can't be read, or does not say.
std::string dtype_of(const std::string& model_path) {
    std::ifstream file(model_path + "/config.json", std::ios::binary);
    std::string text(static_cast<size_t>(kModelConfigBytesMax), '\0');
    file.read(text.data(), kModelConfigBytesMax);
    text.resize(static_cast<size_t>(file.gcount()));
    const Result<json::value> parsed = parse_json(text);
    if (!parsed.ok() || !parsed->is_object()) return {};
    for (const char* key : {"torch_dtype", "dtype"}) {
        const json::value* value = parsed->as_object().if_contains(key);
        if (value != nullptr && value->is_string()) return std::string(value->as_string());
    }
    return {};
}

bool on_310p(const LaunchInput& input) {
    return std::any_of(input.devices.begin(), input.devices.end(), [&input](const Device& device) {
        const std::vector<DeviceClaim>& claims = input.placement.claims;
        const bool claimed = std::any_of(claims.begin(), claims.end(), [&device](const DeviceClaim& claim) {
            return claim.device == DeviceName{device.vendor, device.index};
        });
        return claimed && device.chip.starts_with("310P");
    });
}

// What set_env.sh of mindie-llm, mindie-service, atb-models and PyTorch's places add to CANN's.
void add_library_paths(std::map<std::string, std::string>& env, const std::string& program, const std::string& home) {
    const std::string torch = package_folder(program, "torch").empty() ? package_folder("/usr/local/bin/python3", "torch")
                                                                         : package_folder(program, "torch");
    const fs::path mindie = fs::path(home).parent_path();   // .../mindie/latest
    const std::string models = "/usr/local/Ascend/atb-models";
    const auto libraries = [&env](const fs::path& folder) {
        if (is_there(folder)) prepend(env, "LD_LIBRARY_PATH", folder.string());
    };
    if (!torch.empty()) {
        libraries(fs::path(torch).parent_path() / "torch_npu" / "lib");
        libraries(fs::path(torch).parent_path() / "torch.libs");
        libraries(fs::path(torch) / "lib");
    }
    const std::string atb_llm = package_folder(program, "atb_llm");
    if (const std::string speed = atb_llm.empty() ? models : atb_llm; is_there(speed)) {
        env["ATB_SPEED_HOME_PATH"] = speed;
        libraries(fs::path(speed) / "lib");
        prepend(env, "PYTHONPATH", speed);
    }
    for (const fs::path& package : {mindie / "mindie-llm", fs::path(home)}) {
        if (!is_there(package / "lib")) continue;
        libraries(package / "lib" / "grpc");
        libraries(package / "lib");
        prepend(env, "PYTHONPATH", (package / "lib").string());
        prepend(env, "PYTHONPATH", (package / "bin").string());
    }
}

std::map<std::string, std::string> environment(const LaunchInput& input, const std::string& program, double share) {
    const std::string home = home_of(program);
    std::map<std::string, std::string> env = cann_environment(kAscendRoot, has_new_abi(distribution_version(program, "torch")));
    add_library_paths(env, program, home);
    const fs::path llm = fs::path(home).parent_path() / "mindie-llm";
    env["MIES_INSTALL_PATH"] = home;
    env["MINDIE_LLM_HOME_PATH"] = is_there(llm) ? llm.string() : home;
    env["OMP_NUM_THREADS"] = std::to_string(std::max(1u, input.options.threads));   // more make loading slow
    for (const auto& [name, value] : std::initializer_list<std::pair<const char*, const char*>>{
             {"MIES_SERVICE_MONITOR_MODE", "1"},            // /metrics answers
             {"MINDIE_CHECK_INPUTFILES_PERMISSION", "0"},   // of the model's files, which may be another user's: the worker checked them
             {"MINDIE_LOG_TO_STDOUT", "1"},
             {"MINDIE_LOG_TO_FILE", "0"},
             {"MINDIE_LOG_LEVEL", "INFO"},
             {"MINDIE_LLM_FRAMEWORK_BACKEND", "ATB"},
             {"MINDIE_LLM_CONTINUOUS_BATCHING", "1"},
             {"MINDIE_LLM_RECOMPUTE_THRESHOLD", "0.5"},
             {"ATB_OPERATION_EXECUTE_ASYNC", "1"},
             {"TASK_QUEUE_ENABLE", "1"},
             {"HCCL_BUFFSIZE", "120"},
             {"GRPC_POLL_STRATEGY", "poll"},
             {"PYTORCH_NPU_ALLOC_CONF", "expandable_segments:True"}}) {
        env[name] = value;
    }
    for (const auto& [name, value] : input.options.env) env[name] = value;
    if (share > 0) env["NPU_MEMORY_FRACTION"] = fmt::format("{:.3f}", std::min(1.0, std::ceil(share * 1000) / 1000));
    for (const auto& [name, value] : visible_devices(input.placement, input.devices)) env[name] = value;
    env["MIES_CONFIG_JSON_PATH"] = input.work_folder + "/" + kConfigFile;
    return env;
}

constexpr char kRankTable[] = "ranktable.json";

// Of all parts: the file as its documentation has it, numbers as words. The leading worker's devices come first.
Result<std::string> rank_table(const SpanInput& span) {
    json::array servers;
    size_t rank = 0;
    for (const SpanInput::Peer& peer : span.peers) {
        json::array devices;
        for (const DeviceClaim& claim : peer.claims) {
            if (claim.device.vendor == "cpu") continue;
            const size_t of_peer = devices.size();
            if (of_peer >= peer.device_addresses.size() || peer.device_addresses[of_peer].empty()) {
                return invalid_argument("the NPU " + to_string(claim.device) + " of the worker at " + peer.address +
                                            " has no address on the NPUs' own network (/etc/hccn.conf says none), by which several machines "
                                            "compute together: `hccn_tool -i N -ip -s address ...` sets it",
                                        "placement.across_workers");
            }
            devices.push_back(json::object{{"device_id", std::to_string(claim.device.index)},
                                           {"device_ip", peer.device_addresses[of_peer]},
                                           {"rank_id", std::to_string(rank++)}});
        }
        servers.push_back(json::object{{"server_id", peer.address}, {"container_ip", peer.address}, {"device", std::move(devices)}});
    }
    return json::serialize(json::object{{"version", "1.0"},
                                        {"server_count", std::to_string(span.peers.size())},
                                        {"server_list", std::move(servers)},
                                        {"status", "completed"}});
}

// 0640 at most is asked for; the worker writes 0600.
Status join_nodes(const LaunchInput& input, MindieConfig& config, LaunchPlan& plan) {
    const SpanInput& span = *input.span;
    Result<std::string> table = rank_table(span);
    if (!table.ok()) return table.error();
    plan.files[kRankTable] = *std::move(table);
    for (const char* name : {"RANK_TABLE_FILE", "RANKTABLEFILE"}) plan.env[name] = input.work_folder + "/" + kRankTable;
    plan.env["MIES_CONTAINER_IP"] = span.own().address;   // in a container
    plan.env["HOST_IP"] = span.own().address;             // outside of one
    plan.env["HCCL_DETERMINISTIC"] = "true";
    plan.env.erase("ASCEND_RT_VISIBLE_DEVICES");          // the table names them as the machine does
    config.address = span.own().address;
    config.nodes_port = span.leader().port;
    if (span.part > 0) plan.health = HealthCheck::kLives;
    else plan.peer_port = span.leader().port;
    return Ok{};
}

class MindieBackend final : public Backend {
public:
    About about() const override {
        return {.title = "MindIE",
                .summary = "Huawei's engine: folders of safetensors on Ascend accelerators",
                .homepage = "https://gitcode.com/Ascend/MindIE-LLM",
                .program = "mindieservice_daemon",
                .install = kInstall,
                .formats = {"safetensors"},
                .modalities = {"text", "vision"}};
    }
    std::optional<Refusal> refuses_model(const ModelMeta& meta) const override {
        if (meta.format == "gguf") return Refusal{"MindIE reads folders of safetensors, and this is a GGUF file"};
        if (!meta.modality.empty() && meta.modality != "text" && meta.modality != "vision") {
            return Refusal{"MindIE's service generates text, from text and pictures; this model is for " + meta.modality};
        }
        if (!meta.architecture.empty() && !mindie_knows(meta.architecture)) {
            return Refusal{"MindIE has no code for " + meta.architecture + " (the list of MindIE-LLM after 3.0.0 was looked at)"};
        }
        return std::nullopt;
    }

    std::optional<Refusal> refuses_device(const std::string& os, const std::string&, const Device& device) const override {
        if (device.vendor != "ascend") return Refusal{"MindIE runs on Ascend devices only"};
        if (os != "linux") return Refusal{"MindIE runs on Linux only"};
        // model_support_list.md: Atlas 800I A2 (910B), 800I A3 (910C), 300I Duo (310P, float16).
        if (device.chip.empty()) return std::nullopt;
        for (const char* chip : {"910B", "910C", "910_93", "310P"}) {
            if (device.chip.starts_with(chip)) return std::nullopt;
        }
        return Refusal{"MindIE supports Ascend 910B, 910C and 310P, and this is " + device.chip};
    }

    bool can_offload() const override { return false; }
    std::optional<Spanning> spanning() const override { return Spanning{.split = Spanning::Split::kTensors}; }

    const FlagRules* flag_rules() const override { return &kMindieRules; }
    Result<std::string> program(const BackendOptions& options) const override {
        Result<std::string> found = program_of(options, {"mindieservice_daemon", "mindie_llm_server"}, "MindIE", kInstall);
        if (!found.ok() && options.binary.empty() && is_there(kInstalled)) return std::string(kInstalled);
        return found;
    }

    // Of the service: version.info beside bin ("Ascend-mindie-service : 1.0.0", "mindie-llm : 3.0.0"), or of the Python package.
    std::string version(const BackendOptions& options) const override {
        const Result<std::string> path = program(options);
        if (!path.ok()) return {};
        for (const char* name : {"mindie_llm", "mindie-llm"}) {
            if (std::string installed = distribution_version(*path, name); !installed.empty()) return installed;
        }
        std::ifstream file(home_of(*path) + "/version.info");
        for (std::string line; std::getline(file, line);) {
            const size_t colon = line.find(':');
            if (colon == std::string::npos || line.find("mindie") == std::string::npos) continue;
            const size_t start = line.find_first_not_of(" \t", colon + 1);
            if (start != std::string::npos) return line.substr(start, line.find_last_not_of(" \t\r") + 1 - start);
        }
        return {};
    }

    Status validate(const BackendOptions& options) const override {
        GANTRY_TRY(check_common(options));
        GANTRY_TRY(check_not_custom(options));
        GANTRY_TRY(read_flags(options, kMindieRules));
        if (!options.kv_type.empty()) {
            return invalid_argument("MindIE takes the type of its KV cache from the model (quantized ones have it)", "options.kv_type");
        }
        GANTRY_TRY(check_visible_devices(options));
        for (const char* name : {"MIES_", "MINDIE_LLM_HOME_PATH", "NPU_MEMORY_FRACTION", "RANK_TABLE_FILE", "RANKTABLEFILE", "WORLD_SIZE",
                                 "NPU_DEVICE_IDS"}) {
            GANTRY_TRY(check_env_prefix(options, name, "Gantry sets it, or it belongs to several machines"));
        }
        const Result<std::string> found = program(options);
        return found.ok() ? Status(Ok{}) : Status(found.error());
    }

    Result<LaunchPlan> launch(const LaunchInput& input) const override {
        GANTRY_TRY(validate(input.options));
        const std::vector<DeviceClaim> claims = accelerator_claims(input.placement);
        if (claims.empty()) return invalid_argument("MindIE runs on Ascend devices, and this instance has none", "placement");
        if (!valid_model_name(input.name)) {
            return invalid_argument("MindIE takes model names of letters, digits, \"-\", \".\" and \"_\", with a letter or digit at both "
                                    "ends; name the deployment so",
                                    "name");
        }
        if (on_310p(input) && dtype_of(input.model_path) == "bfloat16") {
            return invalid_argument("the Ascend 310P computes in float16, and the model's config.json says bfloat16: set torch_dtype to "
                                    "float16 there (MindIE converts the weights as it loads them)",
                                    "source");
        }
        if (input.work_folder.size() + sizeof kConfigFile > kConfigPathMax) {
            return invalid_argument("the path of the instance's folder is too long for MindIE; start the server with a shorter "
                                    "--data-dir");
        }
        double share = 0;
        for (const DeviceClaim& claim : claims) share = std::max(share, claim.memory_fraction);
        MindieConfig config;
        config.model_name = input.name;
        config.model_path = input.model_path;
        config.port = input.port;
        config.ranks = static_cast<uint32_t>(claims.size());
        config.context_tokens = input.options.context_tokens != 0 ? input.options.context_tokens : input.placement.context_tokens;
        config.sequences = input.options.max_sequences;
        config.flags = *read_flags(input.options, kMindieRules);
        LaunchPlan plan;
        plan.argv = {*program(input.options)};
        plan.env = environment(input, plan.argv.front(), share);
        if (input.span) GANTRY_TRY(join_nodes(input, config, plan));
        plan.files[kConfigFile] = mindie_config_json(config);
        plan.endpoint = "tcp:" + config.address + ":" + std::to_string(input.port);
        if (plan.health == HealthCheck::kAnswers) plan.health_path = "/v1/models";
        return plan;
    }
};

}  // namespace

const Backend& mindie_backend() {
    static const MindieBackend backend;
    return backend;
}

}  // namespace gantry::backends
