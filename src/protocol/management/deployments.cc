// Deployments and their instances.
#include <fmt/format.h>

#include <cctype>

#include "domain/source.h"
#include "protocol/management/fields.h"
#include "protocol/management/objects.h"

namespace gantry::protocol::management {
namespace {

constexpr int64_t kTokensMax = 1 << 26;
constexpr int64_t kSequencesMax = 4096;
constexpr int64_t kThreadsMax = 4096;
constexpr size_t kWordsMax = 256;
constexpr size_t kWordBytesMax = 8192;
constexpr int64_t kRolloutSecondsMax = 24 * 3600;
constexpr size_t kDevicesMax = 256;       // of one instance
constexpr size_t kDeviceBytesMax = 256;   // of a device's or a worker's name

json::array to_array(const std::vector<std::string>& words) {
    json::array out;
    for (const std::string& word : words) out.emplace_back(word);
    return out;
}

}  // namespace

json::object to_json(const BackendOptions& options) {
    json::object env;
    for (const auto& [name, value] : options.env) env[name] = value;
    return {{"context_tokens", options.context_tokens}, {"max_sequences", options.max_sequences},
            {"threads", options.threads},               {"extra_args", to_array(options.extra_args)},
            {"env", std::move(env)},                    {"kv_type", options.kv_type},
            {"binary", options.binary},                 {"command", to_array(options.command)},
            {"health_path", options.health_path}};
}

namespace {

json::object to_json(const PlacementOptions& options) {
    json::object labels;
    for (const auto& [name, value] : options.worker_labels) labels[name] = value;
    return {{"strategy", gantry::to_string(options.strategy)}, {"devices", to_array(options.devices)},
            {"device_count", options.device_count},            {"device_types", to_array(options.device_types)},
            {"worker_labels", std::move(labels)},              {"cpu_offload", options.cpu_offload},
            {"across_workers", options.across_workers}};
}

json::object to_json(const RolloutOptions& options) {
    return {{"strategy", gantry::to_string(options.strategy)},
            {"max_surge", options.max_surge},
            {"max_unavailable", options.max_unavailable},
            {"ready_seconds", options.ready_seconds},
            {"drain_seconds", options.drain_seconds}};
}

std::optional<uint32_t> count(FieldReader& reader, std::string_view name, int64_t max) {
    const auto number = reader.integer(name, 0, max);
    if (!number) return std::nullopt;
    return static_cast<uint32_t>(*number);
}

OptionsInput read_options(FieldReader& outer) {
    OptionsInput input;
    const json::object* object = outer.object("options");
    if (object == nullptr) return input;
    FieldReader reader(*object, "options.");
    input.context_tokens = count(reader, "context_tokens", kTokensMax);
    input.max_sequences = count(reader, "max_sequences", kSequencesMax);
    input.threads = count(reader, "threads", kThreadsMax);
    input.extra_args = reader.strings("extra_args", kWordsMax, kWordBytesMax);
    input.env = reader.string_map("env", kWordsMax, kWordBytesMax);
    input.kv_type = reader.string("kv_type", 16);
    input.binary = reader.string("binary", 4096);
    input.command = reader.strings("command", kWordsMax, kWordBytesMax);
    input.health_path = reader.string("health_path", 1024);
    if (input.health_path && !input.health_path->empty() && input.health_path->front() != '/') {
        reader.fail("health_path", "\"options.health_path\" must begin with \"/\"");
    }
    if (Status status = reader.finish(); !status) outer.fail(status.error());
    return input;
}

PlacementInput read_placement(FieldReader& outer) {
    PlacementInput input;
    const json::object* object = outer.object("placement");
    if (object == nullptr) return input;
    FieldReader reader(*object, "placement.");
    if (const auto strategy = reader.string("strategy", 64)) {
        if (*strategy != "spread" && *strategy != "binpack") {
            reader.fail("strategy", "\"placement.strategy\" must be \"spread\" or \"binpack\"");
        }
        input.strategy = *strategy == "binpack" ? PlacementStrategy::kBinpack : PlacementStrategy::kSpread;
    }
    input.devices = reader.strings("devices", kDevicesMax, kDeviceBytesMax);
    input.device_count = count(reader, "device_count", kDevicesMax);
    input.device_types = reader.strings("device_types", kDevicesMax, kDeviceBytesMax);
    input.worker_labels = reader.string_map("worker_labels", kLabelsMax, kLabelBytesMax);
    input.cpu_offload = reader.boolean("cpu_offload");
    input.across_workers = reader.boolean("across_workers");
    if (Status status = reader.finish(); !status) outer.fail(status.error());
    return input;
}

RolloutInput read_rollout(FieldReader& outer) {
    RolloutInput input;
    const json::object* object = outer.object("rollout");
    if (object == nullptr) return input;
    FieldReader reader(*object, "rollout.");
    if (const auto text = reader.string("strategy", 64)) {
        UpdateStrategy strategy{};
        if (!from_text(*text, strategy)) reader.fail("strategy", "\"rollout.strategy\" must be \"rolling\" or \"recreate\"");
        input.strategy = strategy;
    }
    input.max_surge = count(reader, "max_surge", kReplicasMax);
    input.max_unavailable = count(reader, "max_unavailable", kReplicasMax);
    const auto seconds = [&reader](std::string_view name, int64_t min) -> std::optional<uint32_t> {
        const auto number = reader.integer(name, min, kRolloutSecondsMax);
        return number ? std::optional(static_cast<uint32_t>(*number)) : std::nullopt;
    };
    input.ready_seconds = seconds("ready_seconds", 1);
    input.drain_seconds = seconds("drain_seconds", 0);
    if (Status status = reader.finish(); !status) outer.fail(status.error());
    return input;
}

}  // namespace

DeploymentInput read_deployment(FieldReader& reader) {
    DeploymentInput input;
    input.source = reader.string("source", kSourceBytesMax);
    if (input.source) {
        if (auto source = parse_source(*input.source); !source) reader.fail(source.error());
    }
    if (const auto backend = reader.string("backend", 64)) {
        input.backend = backend_kind_from(*backend);
        if (!input.backend) {
            reader.fail("backend", "\"backend\" must be \"engine\", \"llama-server\", \"vllm\", \"sglang\", \"mindie\" or \"custom\"");
        }
    }
    input.options = read_options(reader);
    input.placement = read_placement(reader);
    input.replicas = count(reader, "replicas", kReplicasMax);
    input.stopped = reader.boolean("stopped");
    return input;
}

json::object to_json(const Deployment& d, const DeploymentStatus& status) {
    return {{"id", d.id.text},
            {"name", d.name},
            {"source", d.source},
            {"backend", gantry::to_string(d.backend)},
            {"options", to_json(d.options)},
            {"placement", to_json(d.placement)},
            {"rollout", to_json(d.rollout)},
            {"replicas", d.replicas},
            {"stopped", d.stopped},
            {"idle_timeout_seconds", d.idle_timeout_seconds},
            {"asleep_since", d.asleep_since ? json::value(to_rfc3339(*d.asleep_since)) : json::value(nullptr)},
            {"version", d.version},
            {"generation", d.generation},
            {"created_at", to_rfc3339(d.created_at)},
            {"updated_at", to_rfc3339(d.updated_at)},
            {"status",
             {{"state", status.state},
              {"ready_replicas", status.ready_replicas},
              {"reason", status.reason},
              {"progress", status.progress},
              {"rollout",
               {{"state", status.rollout.state},
                {"updated_replicas", status.rollout.updated_replicas},
                {"old_replicas", status.rollout.old_replicas},
                {"reason", status.rollout.reason}}}}}};
}

json::object to_json(const Revision& r, const Deployment& of) {
    return {{"revision", r.generation},
            {"wanted", r.generation == of.generation},
            {"source", r.source},
            {"backend", gantry::to_string(r.backend)},
            {"options", to_json(r.options)},
            {"placement", to_json(r.placement)},
            {"created_at", to_rfc3339(r.created_at)},
            {"good_at", r.good_at ? json::value(to_rfc3339(*r.good_at)) : json::value(nullptr)}};
}

json::object to_json(const Instance& i, const std::string& deployment_name, const WorkerNames& names) {
    const auto name_of = [&names](const WorkerId& id) {
        const auto found = names.find(id);
        return found == names.end() ? std::string() : found->second;
    };
    json::array parts;
    for (const InstancePart& part : i.parts) {
        parts.push_back(json::object{{"worker_id", part.worker_id.text},
                                     {"worker_name", name_of(part.worker_id)},
                                     {"state", gantry::to_string(part.state)},
                                     {"reason", part.reason},
                                     {"progress", part.progress},
                                     {"pid", part.pid},
                                     {"restarts", part.restarts},
                                     {"memory_bytes", part.memory_bytes}});
    }
    return {{"id", i.id.text},
            {"deployment_id", i.deployment_id.text},
            {"deployment_name", deployment_name},
            {"index", i.index},
            {"generation", i.generation},
            {"worker_id", i.worker_id.text},
            {"worker_name", name_of(i.worker_id)},
            {"parts", std::move(parts)},
            {"stopping", i.stopping},
            {"state", gantry::to_string(i.state)},
            {"reason", i.reason},
            {"state_since", to_rfc3339(i.state_since)},
            {"progress", i.progress},
            {"endpoint", i.endpoint},
            {"pid", i.pid},
            {"restarts", i.restarts},
            {"memory_bytes", i.memory_bytes},
            {"memory_private_bytes", i.memory_private_bytes},
            {"memory_peak_bytes", i.memory_peak_bytes},
            {"placement", to_json(i.placement)},
            {"created_at", to_rfc3339(i.created_at)}};
}

json::object to_json(const InstanceEvent& e) {
    return {{"at", to_rfc3339(e.at)}, {"state", gantry::to_string(e.state)}, {"reason", e.reason}, {"restarts", e.restarts}};
}

json::object to_json(const EngineFigures& f) {
    const auto number = [](const std::optional<double>& value) { return value ? json::value(*value) : json::value(nullptr); };
    return {{"instance_id", f.instance.text},
            {"sequences_running", number(f.running)},
            {"sequences_waiting", number(f.waiting)},
            {"kv_usage_ratio", number(f.kv_usage)},
            {"prompt_tokens_total", number(f.prompt_tokens)},
            {"cached_tokens_total", number(f.cached_tokens)},
            {"generated_tokens_total", number(f.generated_tokens)},
            {"first_token_seconds_sum", number(f.first_token_seconds)},
            {"first_token_count", number(f.first_tokens)}};
}

std::string public_reason(std::string_view reason) {
    size_t from = 0;
    for (const std::string_view ours : {"after: ", "crash loop: ", "invalid model file: "}) {
        if (reason.substr(from).starts_with(ours)) from += ours.size();
    }
    const std::string_view clause = reason.substr(0, reason.find(": ", from));
    for (size_t slash = clause.find('/'); slash != std::string_view::npos; slash = clause.find('/', slash + 1)) {
        const bool in_word = slash > 0 && std::isalnum(static_cast<unsigned char>(clause[slash - 1])) != 0;
        if (!in_word) return "an administrator can see why";
    }
    return std::string(clause);
}

namespace {

// Deployments and revisions alike.
template <class T>
void hide_what_runs(T& of) {
    of.source = of.source.substr(0, of.source.find(':') + 1) + of.source.substr(of.source.find_last_of("/:") + 1);
    BackendOptions shown;
    shown.context_tokens = of.options.context_tokens;
    shown.max_sequences = of.options.max_sequences;
    shown.threads = of.options.threads;
    shown.kv_type = of.options.kv_type;
    of.options = std::move(shown);
}

}  // namespace

void hide_from_users(Deployment& deployment) { hide_what_runs(deployment); }
void hide_from_users(Revision& revision) { hide_what_runs(revision); }

void hide_from_users(Instance& instance) {
    instance.endpoint.clear();
    instance.pid = 0;
    for (InstancePart& part : instance.parts) {
        part.pid = 0;
        part.reason = public_reason(part.reason);
    }
    instance.reason = public_reason(instance.reason);
}

void hide_from_users(InstanceEvent& event) { event.reason = public_reason(event.reason); }

void hide_from_users(DeploymentStatus& status) {
    status.reason = public_reason(status.reason);
    status.rollout.reason = public_reason(status.rollout.reason);
}

void OptionsInput::apply_to(BackendOptions& options) const {
    if (context_tokens) options.context_tokens = *context_tokens;
    if (max_sequences) options.max_sequences = *max_sequences;
    if (threads) options.threads = *threads;
    if (extra_args) options.extra_args = *extra_args;
    if (env) options.env = *env;
    if (kv_type) options.kv_type = *kv_type;
    if (binary) options.binary = *binary;
    if (command) options.command = *command;
    if (health_path) options.health_path = *health_path;
}

void PlacementInput::apply_to(PlacementOptions& options) const {
    if (strategy) options.strategy = *strategy;
    if (devices) options.devices = *devices;
    if (device_count) options.device_count = *device_count;
    if (device_types) options.device_types = *device_types;
    if (worker_labels) options.worker_labels = *worker_labels;
    if (cpu_offload) options.cpu_offload = *cpu_offload;
    if (across_workers) options.across_workers = *across_workers;
}

void RolloutInput::apply_to(RolloutOptions& options) const {
    if (strategy) options.strategy = *strategy;
    if (max_surge) options.max_surge = *max_surge;
    if (max_unavailable) options.max_unavailable = *max_unavailable;
    if (ready_seconds) options.ready_seconds = *ready_seconds;
    if (drain_seconds) options.drain_seconds = *drain_seconds;
}

void DeploymentInput::apply_to(Deployment& deployment) const {
    if (name) deployment.name = *name;
    if (source) deployment.source = *source;
    if (backend) deployment.backend = *backend;
    options.apply_to(deployment.options);
    placement.apply_to(deployment.placement);
    rollout.apply_to(deployment.rollout);
    if (replicas) deployment.replicas = *replicas;
    if (stopped) deployment.stopped = *stopped;
    if (idle_timeout_seconds) deployment.idle_timeout_seconds = *idle_timeout_seconds;
}

Result<DeploymentInput> parse_deployment_create(std::string_view body) {
    Result<json::object> object = parse_object(body);
    if (!object) return object.error();
    FieldReader reader(*object);
    reader.require("name");
    reader.require("source");
    auto name = reader.string("name", 1024);
    if (name && !valid_deployment_name(*name)) {
        reader.fail("name", "\"name\" must be 1 to 128 characters of letters, digits and . _ : / -, beginning with a letter or "
                            "digit, without \"..\" or \"//\"");
    }
    DeploymentInput input = read_deployment(reader);
    input.rollout = read_rollout(reader);
    input.idle_timeout_seconds = count(reader, "idle_timeout_seconds", kIdleTimeoutSecondsMax);
    input.name = std::move(name);
    if (Status status = reader.finish(); !status) return status.error();
    return input;
}

Result<RollbackInput> parse_rollback(std::string_view body) {
    Result<json::object> object = body.empty() ? Result<json::object>(json::object()) : parse_object(body);
    if (!object) return object.error();
    FieldReader reader(*object);
    RollbackInput input{reader.integer("revision", 1, INT64_MAX)};
    if (Status status = reader.finish(); !status) return status.error();
    return input;
}

Result<DeploymentInput> parse_deployment_patch(std::string_view body) {
    Result<json::object> object = parse_object(body);
    if (!object) return object.error();
    FieldReader reader(*object);
    DeploymentInput input = read_deployment(reader);
    input.rollout = read_rollout(reader);
    input.idle_timeout_seconds = count(reader, "idle_timeout_seconds", kIdleTimeoutSecondsMax);
    input.version = reader.integer("version", 1, INT64_MAX);
    if (object->contains("name")) {
        reader.fail("name", "a deployment's \"name\" can't be changed, because clients call it by it; deploy a new one");
    }
    if (Status status = reader.finish(); !status) return status.error();
    return input;
}

}  // namespace gantry::protocol::management
