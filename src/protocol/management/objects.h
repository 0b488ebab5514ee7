#pragma once
// The JSON of /api/v1's objects (docs: /api/v1/openapi.json): domain types out, inputs in. Nowhere else is it written or read.
// to_json gives every field of the object's schema, always. An input holds what the body had; absent fields are nullopt.
// parse_* checks names, types and ranges; what needs the store (uniqueness, existence) is control's.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "domain/audit.h"
#include "domain/benchmark.h"
#include "domain/catalogue.h"
#include "domain/cluster.h"
#include "domain/deployment.h"
#include "domain/device_history.h"
#include "domain/evaluation.h"
#include "domain/instance.h"
#include "domain/instance_event.h"
#include "domain/model.h"
#include "domain/model_files.h"
#include "domain/provider.h"
#include "domain/request.h"
#include "domain/route.h"
#include "domain/usage.h"
#include "domain/user.h"
#include "domain/worker.h"

namespace gantry::protocol::management {

// What a deployment's instances add up to.
// How far the wanted revision has come.
struct RolloutStatus {
    std::string state;             // complete, progressing, waiting (a new instance finds no room), reverted, asleep, stopped
    uint32_t updated_replicas = 0; // that serve and are of the wanted revision
    uint32_t old_replicas = 0;     // of others, not yet gone
    std::string reason;            // why it waits or was reverted
};
struct DeploymentStatus {
    std::string state;             // stopped, asleep, pending, starting, running, degraded, error
    uint32_t ready_replicas = 0;
    std::string reason;
    double progress = 0;           // 0..1, of loading
    RolloutStatus rollout{};
};
json::object to_json(const Deployment& deployment, const DeploymentStatus& status);
json::object to_json(const Revision& revision, const Deployment& of);
using WorkerNames = std::unordered_map<WorkerId, std::string>;
json::object to_json(const Instance& instance, const std::string& deployment_name, const WorkerNames& names);
json::object to_json(const InstanceEvent& event);
// What an engine says of itself now, since its start; nullopt: its product does not tell.
struct EngineFigures {
    InstanceId instance;
    std::optional<double> running{}, waiting{};            // sequences
    std::optional<double> kv_usage{};                      // 0..1
    std::optional<double> prompt_tokens{}, cached_tokens{}, generated_tokens{};
    std::optional<double> first_token_seconds{}, first_tokens{};   // their sum, and of how many
};
json::object to_json(const EngineFigures& figures);
json::object to_json(const Worker& worker);
json::object to_json(const WorkerId& worker, const std::string& worker_name, const Device& device);
// Up to `to`; of each device what `worker` calls it now.
json::object to_json(const DeviceCourses& courses, const Worker& worker, WallTime to);
json::object to_json(const gantry::JoinToken& token, WallTime now);
json::object to_json(const Model& model);
json::object to_json(const ModelMeta& meta);
json::object to_json(const Placement& placement);
json::object to_json(const Decision& decision);
// The same for keeping: of many workers only the best.
json::object to_json_kept(const Decision& decision);
// Which of a repository's quantizations was taken, where the source left it open, and why.
struct QuantizationChoice {
    struct Considered {
        std::string source, quantization;
        uint64_t bytes = 0;
        Verdict verdict = Verdict::kUnknown;
        std::string reason;
    };
    std::string source;                    // the one that was taken
    std::string reason;
    std::vector<Considered> considered;    // all, the largest first
};
// A dry run.
struct Evaluation {
    std::string source;
    BackendKind backend = BackendKind::kEngine;
    std::optional<ModelMeta> meta;         // nothing: it can't be read, the decision says why
    Decision decision;
    std::optional<QuantizationChoice> choice{};   // nothing: there was nothing to choose
};
json::object to_json(const Evaluation& evaluation);
struct Catalogued {
    CatalogueEntry entry;
    std::vector<Decision> decisions;       // of each variant
    size_t recommended = 0;                // a variant
};
json::object to_json(const Catalogued& entry);
json::object to_json(const BackendOptions& options);
json::object to_json(const Route& route);
json::object to_json(const Provider& provider);
// With how many are before it, where it is queued; with its result only where `with_result`.
json::object to_json(const Benchmark& benchmark, uint32_t before_it, bool with_result);
json::object to_json(const User& user);
json::object to_json(const ApiKey& key, const std::string& user_name);

// Names beside ids, as they are now; empty where the user or key is gone.
struct UsageNames {
    std::string user, key;
};
json::object to_json(const UsageRecord& record, const UsageNames& names);
// What it was not grouped by is null.
json::object to_json(const UsageSummary& summary, const UsageGroups& by, const UsageNames& names);
json::object to_json(const AuditEvent& event);
// `for_admin`: with the address that it came from, else null.
json::object to_json(const LiveRequest& request, const std::string& key_name, bool for_admin);
// As lines of CSV (csv.h), the same fields in the same order.
void usage_csv_header(std::string& out);
void add_csv(std::string& out, const UsageRecord& record, const UsageNames& names);
void usage_summary_csv_header(std::string& out);
void add_csv(std::string& out, const UsageSummary& summary, const UsageNames& names);
void audit_csv_header(std::string& out);
void add_csv(std::string& out, const AuditEvent& event);

// What an edit changed, for the audit log, from an object's JSON before and after: nested fields by their path, long values cut,
// at most 100. Values of fields that may hold a secret are left out (domain/audit.h).
std::vector<AuditChange> changes_between(const json::object& before, const json::object& after);
// What a creation was given: the fields of its body, with the values that `made` has of them.
std::vector<AuditChange> changes_of_body(const json::object& body, const json::object* made);

struct ServerInfo {
    std::string name;
    std::string version;
    std::string commit;
    WallTime started_at{};
    std::optional<std::string> data_dir;   // admins only
    std::string url_hint;
};
json::object to_json(const ServerInfo& info);

// What others than admins see of them: no environment, command, path, or process (they may hold secrets of the machine).
void hide_from_users(Deployment& deployment);
void hide_from_users(Model& model);
void hide_from_users(Instance& instance);
void hide_from_users(InstanceEvent& event);
void hide_from_users(DeploymentStatus& status);
void hide_from_users(Revision& revision);
// The part of a reason that everybody may read: its first clause. Behind a colon may stand what an engine said last, with parts
// of prompts in it; a clause that names a path of the machine is not shown at all.
std::string public_reason(std::string_view reason);

struct OptionsInput {
    std::optional<uint32_t> context_tokens, max_sequences, threads;
    std::optional<std::vector<std::string>> extra_args, command;
    std::optional<std::map<std::string, std::string>> env;
    std::optional<std::string> kv_type, binary, health_path;
    void apply_to(BackendOptions& options) const;
};
struct PlacementInput {
    std::optional<PlacementStrategy> strategy;
    std::optional<std::vector<std::string>> devices, device_types;
    std::optional<uint32_t> device_count;
    std::optional<std::map<std::string, std::string>> worker_labels;
    std::optional<bool> cpu_offload, across_workers;
    void apply_to(PlacementOptions& options) const;
};
struct RolloutInput {
    std::optional<UpdateStrategy> strategy;
    std::optional<uint32_t> max_surge, max_unavailable, ready_seconds, drain_seconds;
    void apply_to(RolloutOptions& options) const;
};
struct DeploymentInput {
    std::optional<std::string> name, source;
    std::optional<BackendKind> backend;
    OptionsInput options;
    PlacementInput placement;
    RolloutInput rollout;
    std::optional<uint32_t> replicas;
    std::optional<bool> stopped;
    std::optional<uint32_t> idle_timeout_seconds;
    std::optional<int64_t> version;        // the one that the edit saw
    void apply_to(Deployment& deployment) const;
};
Result<DeploymentInput> parse_deployment_create(std::string_view body);
Result<DeploymentInput> parse_deployment_patch(std::string_view body);
struct RollbackInput {
    std::optional<int64_t> revision;       // none: the last good one before
};
Result<RollbackInput> parse_rollback(std::string_view body);
// A dry run: a deployment without a name, on the workers that there are, or on others that the body describes as a list of workers
// shows them (only what placement looks at is read: name, os, arch, labels, devices).
struct EvaluationInput {
    DeploymentInput deployment;
    std::optional<std::vector<Worker>> workers;
};
Result<EvaluationInput> parse_evaluation(std::string_view body);

json::object to_json(const ModelFileSet& files);
json::object to_json(const HubModel& model);
Result<std::string> parse_model_files_create(std::string_view body);   // the source

struct WorkerInput {
    std::optional<std::string> name, address;
    std::optional<bool> cordoned;            // false: a drain ends, too
    std::optional<int64_t> drain_seconds;    // cordon it, and have what runs there move away within this time
    std::optional<std::map<std::string, std::string>> labels;
    std::optional<int64_t> version;
};
inline constexpr int64_t kDrainSecondsMax = 7 * 24 * 3600;
Result<WorkerInput> parse_worker_create(std::string_view body);
Result<WorkerInput> parse_worker_patch(std::string_view body);

struct JoinTokenInput {
    std::string name{};
    uint32_t uses = 1;
    std::chrono::seconds lasts{24 * 3600};
};
inline constexpr int64_t kJoinTokenSecondsMax = 365 * 24 * 3600;
Result<JoinTokenInput> parse_join_token_create(std::string_view body);   // an empty body is a good one

struct ModelInput {
    std::optional<std::string> name, source;
    std::optional<int64_t> version;
};
Result<ModelInput> parse_model_create(std::string_view body);
Result<ModelInput> parse_model_patch(std::string_view body);

struct RouteInput {
    std::optional<std::string> name;
    std::optional<std::vector<RouteTarget>> targets;
    std::optional<std::string> fallback;   // empty, or null in the body: none
    std::optional<bool> disabled;
    std::optional<int64_t> version;
    void apply_to(Route& route) const;
};
Result<RouteInput> parse_route_create(std::string_view body);
Result<RouteInput> parse_route_patch(std::string_view body);

struct ProviderInput {
    std::optional<std::string> name;
    std::optional<BaseUrl> base_url;
    std::optional<std::string> api_key;    // empty, from null in the body: none any more
    std::optional<std::vector<std::string>> models;
    std::optional<bool> disabled;
    std::optional<int64_t> version;
};
Result<ProviderInput> parse_provider_create(std::string_view body);
Result<ProviderInput> parse_provider_patch(std::string_view body);

// A target's key is in `keys`, at the same place; empty: none.
struct BenchmarkInput {
    std::string name{};
    BenchmarkSettings settings{};
    bool seed_given = false;
    std::vector<BenchmarkTarget> targets{};
    std::vector<std::string> keys{};
};
Result<BenchmarkInput> parse_benchmark_create(std::string_view body);

// Of the fields given, each a limit or, from null, none.
struct LimitsInput {
    std::optional<std::optional<uint64_t>> requests_per_minute, tokens_per_minute, concurrent_requests, tokens_per_month;
    void apply_to(Limits& limits) const;
};
struct UserInput {
    std::optional<std::string> name, password;
    std::optional<Role> role;
    std::optional<bool> disabled, must_change_password;
    LimitsInput limits;
    std::optional<std::vector<std::string>> models;
    std::optional<int64_t> version;
};
Result<UserInput> parse_user_create(std::string_view body);
Result<UserInput> parse_user_patch(std::string_view body);

struct KeyInput {
    std::optional<std::string> name, user_id;
    std::optional<WallTime> expires_at;
    bool never_expires = false;            // expires_at was null
    std::optional<bool> disabled;
    LimitsInput limits;
    std::optional<Scopes> scopes;
    std::optional<std::vector<std::string>> models;
    std::optional<int64_t> version;
};
Result<KeyInput> parse_key_create(std::string_view body);
Result<KeyInput> parse_key_patch(std::string_view body);

struct LoginInput {
    std::string name, password;
};
Result<LoginInput> parse_login(std::string_view body);
struct PasswordInput {
    std::string current_password, new_password;
};
Result<PasswordInput> parse_password(std::string_view body);

json::object to_json(const Limits& limits);
json::array to_json(const Scopes& scopes);

bool valid_user_name(const std::string& name);
inline constexpr size_t kPasswordCharsMin = 8;
inline constexpr size_t kPasswordBytesMax = 512;   // argon2id takes any length; nobody types more

}  // namespace gantry::protocol::management
