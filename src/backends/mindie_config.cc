#include "backends/mindie_config.h"

#include <algorithm>

#include "base/json.h"

namespace gantry::backends {
namespace {

constexpr uint32_t kContextDefault = 8192;         // where nobody says: the number is mandatory
constexpr uint32_t kSequencesDefault = 200;        // MindIE's own, the next two as well
constexpr uint32_t kPrefillBatchDefault = 50;
constexpr uint32_t kPrefillTokensDefault = 8192;
constexpr uint16_t kNodesPortDefault = 1120;

enum class Section { kServer, kDeploy, kModel, kSchedule };
struct Field {
    std::string_view flag;
    FlagValue kind;
    Section section;
    std::string_view name;
};
constexpr Field kFields[] = {
    {"--async-scheduler-wait-time", FlagValue::kInteger, Section::kModel, "async_scheduler_wait_time"},
    {"--cache-block-size", FlagValue::kInteger, Section::kSchedule, "cacheBlockSize"},
    {"--decode-time-ms-per-req", FlagValue::kInteger, Section::kSchedule, "decodeTimeMsPerReq"},
    {"--e2e-timeout", FlagValue::kInteger, Section::kServer, "e2eTimeout"},
    {"--max-first-token-wait-time", FlagValue::kInteger, Section::kSchedule, "maxFirstTokenWaitTime"},
    {"--max-iter-times", FlagValue::kInteger, Section::kSchedule, "maxIterTimes"},
    {"--max-link-num", FlagValue::kInteger, Section::kServer, "maxLinkNum"},
    {"--max-prefill-batch-size", FlagValue::kInteger, Section::kSchedule, "maxPrefillBatchSize"},
    {"--max-prefill-tokens", FlagValue::kInteger, Section::kSchedule, "maxPrefillTokens"},
    {"--max-queue-delay-microseconds", FlagValue::kInteger, Section::kSchedule, "maxQueueDelayMicroseconds"},
    {"--prefill-time-ms-per-req", FlagValue::kInteger, Section::kSchedule, "prefillTimeMsPerReq"},
    {"--support-select-batch", FlagValue::kSwitch, Section::kSchedule, "supportSelectBatch"},
    {"--token-timeout", FlagValue::kInteger, Section::kServer, "tokenTimeout"},
    {"--truncation", FlagValue::kSwitch, Section::kDeploy, "truncation"},
    // Not fields of the file: a plugin, named below.
    {"--enable-prefix-caching", FlagValue::kNone, Section::kSchedule, ""},
};

std::vector<AllowedFlag> allowed_flags() {
    std::vector<AllowedFlag> allowed;
    for (const Field& field : kFields) allowed.push_back({field.flag, field.kind});
    return allowed;
}
const std::vector<AllowedFlag> kAllowed = allowed_flags();

const RefusedFlags kRefused[] = {
    {{"--host", "--ip-address", "--port", "--management*", "--metrics-port", "--https-enabled", "--tls*", "--allow-all-zero-ip-listening",
      "--inter*"},
     "Gantry gives each engine a port of 127.0.0.1 and is the door to it itself"},
    {{"--model-name", "--model-weight-path", "--backend-type"}, "the model is the deployment's source, its name the deployment's"},
    {{"--max-seq-len", "--max-input-token-len"}, "set context_tokens"},
    {{"--max-batch-size"}, "set max_sequences"},
    {{"--npu-memory-fraction", "--npu-mem-size", "--cpu-mem-size", "--max-preempt-count", "--kv-pool-config"},
     "memory is computed from what the model needs and booked; change context_tokens or max_sequences"},
    {{"--world-size", "--npu-device-ids", "--tensor-parallel-size", "-tp", "--data-parallel-size", "-dp", "--pipeline-parallel-size", "-pp",
      "--multi-nodes-infer*"},
     "how many devices, and which, is placement's: set placement.device_count or placement.devices; for more engines, replicas"},
    {{"--trust-remote-code"}, "it runs programs from the model's folder"},
};

json::object server_config(const MindieConfig& config) {
    // One address and one port for inference, management and metrics: the daemon then serves them all by one server.
    return {{"ipAddress", config.address},
            {"managementIpAddress", config.address},
            {"port", config.port},
            {"managementPort", config.port},
            {"metricsPort", config.port},
            {"allowAllZeroIpListening", false},
            {"maxLinkNum", 1000},
            {"httpsEnabled", false},
            {"fullTextEnabled", false},
            {"inferMode", "standard"},
            {"interCommTLSEnabled", false},
            {"interCommPort", 1121},
            {"openAiSupport", "vllm"},
            {"tokenTimeout", 600},
            {"e2eTimeout", 600},
            {"distDPServerEnabled", false}};
}

json::object model_config(const MindieConfig& config) {
    return {{"modelInstanceType", "Standard"},
            {"modelName", config.model_name},
            {"modelWeightPath", config.model_path},
            {"worldSize", config.ranks},
            {"cpuMemSize", 0},
            {"npuMemSize", -1},   // by itself, within NPU_MEMORY_FRACTION
            {"backendType", "atb"},
            {"trustRemoteCode", false},
            {"async_scheduler_wait_time", 120}};
}

json::object schedule_config(uint32_t context, uint32_t sequences) {
    return {{"templateType", "Standard"},
            {"templateName", "Standard_LLM"},
            {"cacheBlockSize", 128},
            {"maxPrefillBatchSize", std::min(kPrefillBatchDefault, sequences)},
            {"maxPrefillTokens", std::max(kPrefillTokensDefault, context)},   // at least what one prompt may have
            {"prefillTimeMsPerReq", 150},
            {"prefillPolicyType", 0},
            {"decodeTimeMsPerReq", 50},
            {"decodePolicyType", 0},
            {"maxBatchSize", sequences},
            {"maxIterTimes", context},
            {"maxPreemptCount", 0},
            {"supportSelectBatch", false},
            {"maxQueueDelayMicroseconds", 5000},
            {"maxFirstTokenWaitTime", 2500}};
}

const Field& field_of(const std::string& flag) {
    const std::string bare = flag.starts_with("--no-") ? "--" + flag.substr(5) : flag;
    const auto found = std::find_if(std::begin(kFields), std::end(kFields), [&bare](const Field& field) { return field.flag == bare; });
    GANTRY_ASSERT(found != std::end(kFields), "a checked flag is in the table");
    return *found;
}

json::value value_of(const GivenFlag& flag, FlagValue kind) {
    if (kind == FlagValue::kSwitch) return !flag.name.starts_with("--no-");
    const Result<json::value> number = parse_json(flag.value);
    return number.ok() ? *number : json::value(flag.value);
}

}  // namespace

const FlagRules kMindieRules{"MindIE", kAllowed, kRefused};

std::string mindie_config_json(const MindieConfig& config) {
    const uint32_t context = config.context_tokens != 0 ? config.context_tokens : kContextDefault;
    const uint32_t sequences = config.sequences != 0 ? config.sequences : kSequencesDefault;
    json::object server = server_config(config);
    json::object model = model_config(config);
    json::object schedule = schedule_config(context, sequences);
    json::object deploy = {{"maxSeqLen", context}, {"maxInputTokenLen", context}, {"truncation", false}};
    for (const GivenFlag& flag : config.flags) {
        const Field& field = field_of(flag.name);
        if (field.name.empty()) {
            model["plugin_params"] = R"({"plugin_type":"prefix_cache"})";
            schedule["enablePrefixCache"] = true;
            continue;
        }
        json::object& section = field.section == Section::kServer   ? server
                                : field.section == Section::kDeploy ? deploy
                                : field.section == Section::kModel  ? model
                                                                    : schedule;
        section[field.name] = value_of(flag, field.kind);
    }
    json::array devices;   // logical: as ASCEND_RT_VISIBLE_DEVICES counts them
    for (uint32_t rank = 0; rank < config.ranks; ++rank) devices.push_back(rank);
    json::array models;
    models.push_back(std::move(model));
    json::array instances;   // of the model: one
    instances.push_back(std::move(devices));
    deploy["ModelConfig"] = std::move(models);
    json::object backend = {{"backendName", "mindieservice_llm_engine"},
                            {"modelInstanceNumber", 1},
                            {"tokenizerProcessNumber", 8},
                            {"multiNodesInferEnabled", config.nodes_port != 0},
                            {"multiNodesInferPort", config.nodes_port != 0 ? config.nodes_port : kNodesPortDefault},
                            {"interNodeTLSEnabled", false}};
    backend["npuDeviceIds"] = std::move(instances);
    backend["ModelDeployConfig"] = std::move(deploy);
    backend["ScheduleConfig"] = std::move(schedule);
    const json::object root = {{"Version", "1.0.0"},
                               {"ServerConfig", std::move(server)},
                               {"BackendConfig", std::move(backend)},
                               {"LogConfig", {{"dynamicLogLevel", ""}, {"dynamicLogLevelValidHours", 2}, {"dynamicLogLevelValidTime", ""}}},
                               {"EnableDynamicAdjustTimeoutConfig", false}};
    return json::serialize(root);
}

}  // namespace gantry::backends
