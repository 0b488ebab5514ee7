#include "worker/launch.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>

#include "backends/backends.h"
#include "base/log.h"
#include "base/platform/file_lock.h"
#include "models/gguf_names.h"
#include "models/model_reader.h"

namespace gantry::worker {
namespace {

constexpr int kOomScoreAdjust = 500;   // when memory runs out an engine goes before the server does
constexpr size_t kKeyLength = 32;      // 160 random bits
constexpr size_t kNonceLength = 26;

void point(const SupervisionPolicy& policy, std::string_view name) {
    if (policy.on_point) {
        policy.on_point(name);
    }
}

std::map<std::string, std::string> engine_environment(const backends::LaunchPlan& plan, const std::string& nonce) {
    std::map<std::string, std::string> env = plan.env;
    // Enough to find programs, caches and temporary space; nothing else of ours, which may hold secrets.
    for (const char* name : {"PATH", "HOME", "LANG", "TMPDIR"}) {
        if (const char* value = std::getenv(name)) {
            env.emplace(name, value);
        }
    }
    env[kNonceVariable] = nonce;
    return env;
}

// What the server told of the other parts, and where this one may listen.
Result<backends::SpanInput> span_of(const LaunchContext& context, const protocol::InstanceSpec& spec) {
    if (context.data_address.empty()) {
        return invalid_argument("several workers run this instance together, and this one has no address at which the others could reach it: "
                                "start it with --data-address, an IPv4 address of this machine");
    }
    backends::SpanInput span{.part = spec.part};
    for (const protocol::Peer& peer : spec.peers) {
        span.peers.push_back({.address = peer.address, .port = static_cast<uint16_t>(peer.port), .claims = spec.placement.on(peer.worker_id).claims,
                              .device_addresses = peer.device_addresses});
    }
    if (span.part >= span.peers.size()) return internal_error("the server told nothing of this part of the instance");
    const Result<uint16_t> port = context.processes.free_port(context.data_address);
    if (!port.ok()) return port.error();
    span.peers[span.part].address = context.data_address;
    span.peers[span.part].port = *port;
    return span;
}

Result<backends::LaunchPlan> plan_launch(const LaunchContext& context, const protocol::InstanceSpec& spec,
                                         const std::string& model_path, const InstanceFolder& folder) {
    const Result<uint16_t> port = context.processes.free_port("127.0.0.1");
    if (!port.ok()) {
        return port.error();
    }
    backends::LaunchInput input;
    input.gantry_binary = context.gantry_binary;
    input.model_path = model_path;
    if (spec.backend == BackendKind::kEngine || spec.backend == BackendKind::kLlamaServer) {
        if (auto files = models::gguf_files_at(model_path)) {
            input.model_path = std::move(files->model);
            input.tower_path = std::move(files->tower);
        }
    }
    input.name = spec.deployment_name;
    input.socket_path = context.run_dir + "/" + spec.id.text + ".sock";
    input.port = *port;
    input.api_key = context.random.token(kKeyLength);
    input.exit_file = folder.exit_path();
    input.work_folder = folder.path();
    input.packed_folder = context.packed_dir;
    input.options = spec.options;
    input.placement = spec.placement;
    if (spec.attempt != 0) {
        Result<backends::SpanInput> span = span_of(context, spec);
        if (!span.ok()) return span.error();
        input.span = *std::move(span);
        input.placement = spec.placement.on(context.worker);
    }
    input.devices = context.devices;
    if (!platform::socket_path_fits(input.socket_path)) {
        return invalid_argument("the path of the engine's socket is too long; start the server with a shorter --data-dir");
    }
    ::unlink(input.socket_path.c_str());
    return backends::backend(spec.backend).launch(input);
}

}  // namespace

Status check_model(const protocol::InstanceSpec& spec, const std::string& model_path) {
    if (spec.backend == BackendKind::kCustom) {
        return Ok{};   // whatever it is, the program knows
    }
    if (!model_path.starts_with('/')) {
        return invalid_argument("invalid model file: the source must be file: and an absolute path");
    }
    const Result<ModelMeta> meta = models::read_model(model_path);
    if (meta.ok()) {
        const auto refused = backends::backend(spec.backend).refuses_model(*meta);
        return refused ? Status(invalid_argument(refused->reason)) : Status(Ok{});
    }
    Error error = meta.error();
    if (!error.message.starts_with("invalid model file")) {
        error.message = "invalid model file: " + error.message;
    }
    return error;
}

Result<Launched> launch_engine(const LaunchContext& context, const protocol::InstanceSpec& spec, const std::string& model_path,
                               const InstanceFolder& folder, uint32_t restarts) {
    GANTRY_TRY(folder.create());
    const Result<platform::FileLock> lock = platform::FileLock::try_lock(folder.lock_path());
    if (!lock.ok()) {
        return lock.error();
    }
    Result<backends::LaunchPlan> plan = plan_launch(context, spec, model_path, folder);
    if (!plan.ok()) {
        return plan.error();
    }
    InstanceRecord record;
    record.id = spec.id;
    record.deployment_name = spec.deployment_name;
    record.generation = spec.generation;
    record.nonce = context.random.token(kNonceLength);
    record.spec_hash = spec_hash(spec);
    record.argv_hash = hash_words(plan->argv);
    record.endpoint = plan->endpoint;
    record.api_key = plan->api_key;
    record.health = plan->health;
    record.health_path = plan->health_path;
    record.writes_exit_file = plan->writes_exit_file;
    record.restarts = restarts;
    record.attempt = spec.attempt;
    record.peer_port = plan->peer_port;
    folder.begin_run();
    GANTRY_TRY(folder.write_record(record));
    point(context.policy, "record_committed");

    for (const auto& [name, text] : plan->files) {
        GANTRY_TRY(platform::write_file_atomic(folder.path() + "/" + name, text, 0600));
    }
    platform::SpawnRequest request;
    request.argv = plan->argv;
    request.env = engine_environment(*plan, record.nonce);
    request.output_file = folder.log_path();
    request.working_folder = folder.path();
    request.inherited_handle = lock->handle();
    request.oom_score_adjust = kOomScoreAdjust;
    Result<platform::Spawned> spawned = context.processes.spawn(request);
    if (!spawned.ok()) {
        return spawned.error();
    }
    point(context.policy, "spawned");
    record.process = spawned->id;
    if (const Status written = folder.write_record(record); !written.ok()) {
        // The record before names the nonce, by which the engine is found again.
        log::warn("instance {}: {}", spec.id.text, written.error().message);
    }
    return Launched{std::move(record), std::move(spawned->watch)};
}

}  // namespace gantry::worker
