#pragma once
// The Store on SQLite. Each table's functions are in the file of its name: deployments.cc, instances.cc, workers.cc, joining.cc,
// device_history.cc, models.cc, routes.cc, providers.cc, users.cc, keys.cc, sessions.cc, usage.cc, usage_hours.cc, audit.cc,
// kept_answers.cc, benchmarks.cc, settings.cc; opening, closing and backup in sqlite_store.cc, backup.cc.

#include <memory>
#include <string>

#include "store/data_folder.h"
#include "store/database.h"
#include "store/store.h"

namespace gantry::store {

inline constexpr int32_t kControlApplicationId = 0x47414e54;   // "GANT", as in schema/0001_init.sql
inline constexpr int32_t kUsageApplicationId = 0x47414e55;     // "GANU"

class SqliteStore final : public Store {
public:
    static Result<std::unique_ptr<SqliteStore>> open(const std::string& data_dir, const DatabaseOptions& options);

    std::unique_ptr<Together> together() override;
    Status check_writable() override;
    Status backup(const std::string& path) override;
    Status close() override;

    Status create_deployment(const Deployment& deployment) override;
    Status update_deployment(const Deployment& deployment, int64_t expected_version) override;
    Status set_asleep(const DeploymentId& id, std::optional<WallTime> since, int64_t version) override;
    Status delete_deployment(const DeploymentId& id) override;
    Status finish_rollout(const DeploymentId& id, int64_t generation, WallTime now) override;
    Result<std::vector<Revision>> revisions(const DeploymentId& of) override;
    Result<Deployment> deployment(const DeploymentId& id) override;
    Result<Deployment> deployment_by_name(const std::string& name) override;
    Result<Page<Deployment>> deployments(const PageRequest& page) override;

    Status create_instance(const Instance& instance) override;
    Status place_instance(const InstanceId& id, const Placement& placement, const std::string& decision, WallTime now) override;
    Result<std::string> instance_decision(const InstanceId& id) override;
    Status set_instance_reason(const InstanceId& id, const std::string& reason) override;
    Status mark_instance_stopping(const InstanceId& id, WallTime now) override;
    Status delete_instance(const InstanceId& id) override;
    Status observe_instances(const std::vector<Instance>& instances) override;
    Result<Instance> instance(const InstanceId& id) override;
    Result<std::vector<InstanceEvent>> instance_events(const InstanceId& id) override;
    Result<Page<Instance>> instances(const PageRequest& page, const DeploymentId& of) override;

    Status add_measured_runs(const std::vector<MeasuredRun>& runs, WallTime now) override;
    Result<std::vector<MeasuredRun>> measured_runs() override;
    Status create_worker(const Worker& worker) override;
    Status update_worker(const Worker& worker, int64_t expected_version) override;
    Status delete_worker(const WorkerId& id) override;
    Status observe_worker(const Worker& worker) override;
    Result<Worker> worker(const WorkerId& id) override;
    Result<Page<Worker>> workers(const PageRequest& page) override;
    Status add_device_history(const std::vector<DeviceQuarter>& quarters, WallTime now) override;
    Result<DeviceHistory> device_history(const WorkerId& worker, WallTime from, WallTime to) override;

    Status create_join_token(const JoinToken& token) override;
    Status revoke_join_token(const JoinTokenId& id) override;
    Status delete_join_tokens_before(WallTime expired) override;
    Result<JoinToken> join_token(const JoinTokenId& id) override;
    Result<Page<JoinToken>> join_tokens(const PageRequest& page) override;
    Result<WorkerId> join_worker(const Worker& worker, const Membership& membership) override;
    Status observe_membership(const Membership& membership) override;
    Result<int64_t> end_lease(const WorkerId& id, WallTime now) override;

    Status create_model(const Model& model) override;
    Status update_model(const Model& model, int64_t expected_version) override;
    Status delete_model(const ModelId& id) override;
    Result<Model> model(const ModelId& id) override;
    Result<Model> model_by_name(const std::string& name) override;
    Result<Model> model_by_source(const std::string& source) override;
    Result<Page<Model>> models(const PageRequest& page) override;

    Status create_route(const Route& route) override;
    Status update_route(const Route& route, int64_t expected_version) override;
    Status delete_route(const RouteId& id) override;
    Result<Route> route(const RouteId& id) override;
    Result<Route> route_by_name(const std::string& name) override;
    Result<Page<Route>> routes(const PageRequest& page) override;

    Status create_provider(const Provider& provider) override;
    Status update_provider(const Provider& provider, int64_t expected_version) override;
    Status delete_provider(const ProviderId& id) override;
    Result<Provider> provider(const ProviderId& id) override;
    Result<Provider> provider_by_name(const std::string& name) override;
    Result<Page<Provider>> providers(const PageRequest& page) override;

    Status create_user(const User& user) override;
    Status create_user(const User& user, const Identity& identity) override;
    Result<User> user_by_identity(const Identity& identity) override;
    Status update_user(const User& user, int64_t expected_version) override;
    Status delete_user(const UserId& id) override;
    Result<User> user(const UserId& id) override;
    Result<User> user_by_name(const std::string& name) override;
    Result<Page<User>> users(const PageRequest& page) override;
    Status create_key(const ApiKey& key) override;
    Status update_key(const ApiKey& key, int64_t expected_version) override;
    Status delete_key(const ApiKeyId& id) override;
    Result<ApiKey> key(const ApiKeyId& id) override;
    Result<Page<ApiKey>> keys(const PageRequest& page, const UserId& of) override;
    Status create_session(const Session& session) override;
    Status delete_session(const std::string& token_digest) override;
    Status delete_sessions_of(const UserId& user) override;
    Status delete_sessions_before(WallTime now) override;

    Result<Snapshot> snapshot() override;
    Result<AuthRows> auth_rows() override;

    Result<std::optional<std::string>> setting(const std::string& name) override;
    Status set_setting(const std::string& name, const std::string& value) override;

    Status add_usage(const std::vector<UsageRecord>& records) override;
    Result<std::vector<TokensUsed>> tokens_used(WallTime from, WallTime before) override;
    Result<Page<UsageRecord>> usage(const PageRequest& page, const UsageFilter& filter) override;
    Result<Page<UsageSummary>> usage_summary(const UsageSummaryRequest& request) override;
    Result<uint64_t> delete_usage_before(WallTime before) override;

    Status keep_answer(const KeptAnswer& answer, WallTime forget_before) override;
    Result<std::optional<KeptAnswer>> kept_answer(const std::string& key) override;

    Status create_benchmark(const Benchmark& benchmark) override;
    Status update_benchmark(const Benchmark& benchmark) override;
    Status delete_benchmark(const BenchmarkId& id) override;
    Result<Benchmark> benchmark(const BenchmarkId& id) override;
    Result<Page<Benchmark>> benchmarks(const PageRequest& page, const UserId& of) override;
    Result<std::vector<Benchmark>> open_benchmarks() override;

    Status add_audit(const AuditEvent& event) override;
    Result<Page<AuditEvent>> audit(const PageRequest& page, const AuditFilter& filter) override;

private:
    SqliteStore(DataFolder folder, std::unique_ptr<Database> control, std::unique_ptr<Database> usage)
        : folder_(std::move(folder)), control_(std::move(control)), usage_(std::move(usage)) {}
    // A durable write of the control state.
    Status change(const std::function<Status(Connection&)>& use) {
        return control_->write(Database::Synchronous::kFull, use);
    }

    DataFolder folder_;                     // outlives the databases: the lock goes last
    std::unique_ptr<Database> control_;
    std::unique_ptr<Database> usage_;
};

}  // namespace gantry::store
