#pragma once
// The control state on disk. SQLite in <data-dir>/gantry.db (WAL, synchronous=FULL), usage in a file of its own
// (<data-dir>/usage.db, synchronous=NORMAL: its journal is the truth). No SQL outside this folder.
//
// A call that returned ok is on disk: kill -9 or a power cut later loses nothing of it. Each function is one transaction.
// Threads: any thread may call; writes are serialised by one mutex and one connection, reads use connections of their own.
// All calls block on the disk: from the io thread go through http::BlockingPool. After close() every call is kUnavailable.
// Time and ids are parameters. Errors: kNotFound (reason "<thing>_not_found"), kConflict (param "name", "source": taken; param
// "version": the version differs), kInvalidArgument (param "cursor", "limit"; text that is no UTF-8), kStorageFull (reason
// "disk_full", "disk_error", "database_removed": full, read-only, I/O error; reads go on, and writes go on by themselves once
// the disk takes them again), kUnavailable (reason "database_locked", "database_busy": over 5 s), kInternal (damage). An error
// of a write means: not done (a kill right then may still leave it done, never half done).
//
// One writer a column: the API writes desired columns (update_*), the reconciler creates, marks and deletes instances,
// heartbeat writes observed columns (observe_*). Instances' and workers' observed state changes too often to fsync each time:
// observe_* may lose the last second at a power cut, never at a crash of the process; it is observed again anyway.
//
// Files in <data-dir>: gantry.db and usage.db (mode 0600, with -wal and -shm in use), gantry.lock (flock; the pid, or "clean"),
// initialized (the folder has been used). Destroying a Store without close() counts as an unclean stop.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "domain/audit.h"
#include "domain/benchmark.h"
#include "domain/cluster.h"
#include "domain/device_history.h"
#include "domain/instance_event.h"
#include "domain/measured_run.h"
#include "domain/snapshot.h"
#include "domain/usage.h"
#include "domain/user.h"

namespace gantry::store {

inline constexpr int64_t kMeasuredRunsMax = 2'000;
inline constexpr int64_t kKeptAnswersMax = 10'000;
inline constexpr int64_t kBenchmarksMax = 200;   // that are over
inline constexpr std::chrono::days kDeviceHistoryKept{30};

// A page of a list: rows after `cursor` (opaque; empty: from the start), at most `limit`, by creation time then id.
struct PageRequest {
    std::string cursor{};
    uint32_t limit = 50;                 // 1..500
    std::string name_contains{};         // filter, empty: all
    bool descending = false;
    std::optional<WallTime> from{};      // only rows of this time and later,
    std::optional<WallTime> to{};        // and before this
};
template <class T>
struct Page {
    std::vector<T> items;
    std::string next_cursor;             // empty: that was all
};

// Filters by equality; what is empty filters nothing.
struct UsageFilter {
    UserId user{};
    ApiKeyId key{};
    std::string model{};
};
enum class UsageBucket { kHour, kDay, kTotal };
// By bucket, then by what is grouped by, in the order of UsageGroups.
struct UsageSummaryRequest {
    std::string cursor{};
    uint32_t limit = 50;                 // 1..500
    std::optional<WallTime> from{};      // usage is kept by the hour: from the hour that holds this,
    std::optional<WallTime> to{};        // up to the end of the hour that holds the moment before this
    UsageBucket bucket = UsageBucket::kDay;
    UsageGroups by{};
    UsageFilter filter{};
};
struct AuditFilter {
    std::string actor{};                 // id or name
    std::string kind{};
    std::string object{};                // id or name
};

// What a change answered, kept for the case that it is asked for again.
struct KeptAnswer {
    std::string key;                     // whose and which, as a digest
    std::string request;                 // what was asked, as a digest
    std::string answer;                  // sealed
    WallTime at{};
};

class Store {
public:
    // Creates or migrates; takes an flock on <data_dir>/gantry.lock first (kConflict, with the pid, when another has it).
    // After an unclean stop runs quick_check. Refuses: a corrupt file, a schema newer than this binary, a database that
    // vanished though the data folder has been used (kInternal, text with what to restore). Never starts afresh silently.
    // Its errors are for the operator's terminal: they name the data folder. A refusal changes no row.
    static Result<std::unique_ptr<Store>> open(const std::string& data_dir);
    virtual ~Store() = default;

    // Holds together what the calling thread writes to gantry.db from here on: one transaction, which its first write begins and
    // commit() ends; then, and not before, it is on disk. Meanwhile this thread reads what it wrote, nobody else does, and other
    // writers wait (5 s at most, then they get "database_busy"): do what is slow before the first write. A call that fails takes
    // back its own writes only. Destroyed without commit(): nothing was written. One at a time a thread.
    class Together {
    public:
        virtual ~Together() = default;
        virtual Status commit() = 0;
    };
    virtual std::unique_ptr<Together> together() = 0;

    virtual Status check_writable() = 0;                            // for /readyz
    // One file with all of it, usage included, as of one moment for each database; in use meanwhile. kConflict: path exists.
    virtual Status backup(const std::string& path) = 0;
    virtual Status close() = 0;                                     // marks the stop clean

    // Deployments. create: id, version, generation and times are taken from the value.
    virtual Status create_deployment(const Deployment& deployment) = 0;
    // Writes all desired columns where the stored version equals `expected_version`, storing deployment.version (which the
    // caller raised). kConflict otherwise. Both keep the generation's revision if there is none yet, in the same transaction. The
    // reconciler calls it too, to take a failed update back; the version keeps it and the API apart.
    virtual Status update_deployment(const Deployment& deployment, int64_t expected_version) = 0;
    // When it was put to sleep; nullopt: it is awake. kConflict where it has another version by now. No edit: neither update_deployment
    // nor the version knows of it. (control/sleep.h.)
    virtual Status set_asleep(const DeploymentId& id, std::optional<WallTime> since, int64_t version) = 0;
    // Deletes the row and marks its instances stopping in the same transaction. They stay, with the id of the deployment that
    // is gone, until delete_instance: in snapshot() and in instances(of).
    virtual Status delete_deployment(const DeploymentId& id) = 0;
    virtual Result<Deployment> deployment(const DeploymentId& id) = 0;
    virtual Result<Deployment> deployment_by_name(const std::string& name) = 0;
    virtual Result<Page<Deployment>> deployments(const PageRequest& page) = 0;
    // All replicas run this generation: it becomes the last good one. kNotFound: no such revision. (Written by the reconciler.)
    virtual Status finish_rollout(const DeploymentId& id, int64_t generation, WallTime now) = 0;
    // Newest first: the newest kRevisionsKept, the wanted one, the last good one and those that instances still run.
    virtual Result<std::vector<Revision>> revisions(const DeploymentId& of) = 0;

    // Instances. create: kNotFound where the deployment is gone (deleted while the reconciler planned). place: once, with the
    // decision as JSON; kConflict where it is placed or stopping already, kNotFound where the leading worker is gone.
    virtual Status create_instance(const Instance& instance) = 0;
    virtual Status place_instance(const InstanceId& id, const Placement& placement, const std::string& decision, WallTime now) = 0;
    virtual Result<std::string> instance_decision(const InstanceId& id) = 0;   // empty: not placed, or by an older gantry
    virtual Status set_instance_reason(const InstanceId& id, const std::string& reason) = 0;   // of a pending one
    // Sets the flag and, unless the state is kError or kUnreachable, the state. Repeating it is fine.
    virtual Status mark_instance_stopping(const InstanceId& id, WallTime now) = 0;
    virtual Status delete_instance(const InstanceId& id) = 0;
    // State, reason, state_since, progress, endpoint, api_key, pid, restarts, memory_*; ids that are gone are passed over. Of an
    // instance marked stopping only kError and kUnreachable change the state: a late report never makes it run again.
    virtual Status observe_instances(const std::vector<Instance>& instances) = 0;
    virtual Result<Instance> instance(const InstanceId& id) = 0;
    // What it went through, oldest first; the newest 200. The database itself keeps them (schema/0013).
    virtual Result<std::vector<InstanceEvent>> instance_events(const InstanceId& id) = 0;
    // name_contains looks at the id and at the deployment's name.
    virtual Result<Page<Instance>> instances(const PageRequest& page, const DeploymentId& of = {}) = 0;

    // What instances took of memory, against what was estimated. Of one instance the highest peak stays; rows outlive instances, the
    // newest kMeasuredRunsMax of them.
    virtual Status add_measured_runs(const std::vector<MeasuredRun>& runs, WallTime now) = 0;
    virtual Result<std::vector<MeasuredRun>> measured_runs() = 0;   // newest first

    // Workers.
    virtual Status create_worker(const Worker& worker) = 0;
    virtual Status update_worker(const Worker& worker, int64_t expected_version) = 0;  // name, cordoned, drain_by, labels
    // With its membership, and with instances on it that are stopping. kConflict while others are.
    virtual Status delete_worker(const WorkerId& id) = 0;
    virtual Status observe_worker(const Worker& worker) = 0;        // state, address, version, last_report_at, os, arch, devices, device_notes
    virtual Result<Worker> worker(const WorkerId& id) = 0;
    virtual Result<Page<Worker>> workers(const PageRequest& page) = 0;

    // What devices did (written by control/device_history.h only). Of a quarter that is there already the means are taken together, by
    // their minutes; of workers that are gone nothing is kept. Forgets what is older than kDeviceHistoryKept at `now`. May lose the
    // last quarter at a power cut, never at a crash of the process.
    virtual Status add_device_history(const std::vector<DeviceQuarter>& quarters, WallTime now) = 0;
    struct DeviceHistory {
        std::optional<WallTime> since{};            // the first quarter of any of the worker's devices
        std::vector<DeviceQuarter> quarters{};      // by vendor, index and time
    };
    // Of quarters that begin in [from, to).
    virtual Result<DeviceHistory> device_history(const WorkerId& worker, WallTime from, WallTime to) = 0;

    // Joining. create: kConflict where the id is taken.
    virtual Status create_join_token(const JoinToken& token) = 0;
    virtual Status revoke_join_token(const JoinTokenId& id) = 0;    // repeating it is fine
    virtual Status delete_join_tokens_before(WallTime expired) = 0;
    virtual Result<JoinToken> join_token(const JoinTokenId& id) = 0;
    virtual Result<Page<JoinToken>> join_tokens(const PageRequest& page) = 0;
    // Takes a use of the token and makes the worker with its membership, or none of it; the worker's id. A key that joined with
    // this token before gets the id of that worker again, and takes no use (an answer may be lost). kPermissionDenied, reason
    // "join_token_revoked", "join_token_used" or "join_token_expired"; kConflict where the worker's name is taken.
    virtual Result<WorkerId> join_worker(const Worker& worker, const Membership& membership) = 0;
    virtual Status observe_membership(const Membership& membership) = 0;   // machine_id, address
    // Counts the worker's epoch up and marks its instances stopping, in one transaction; the new epoch. kNotFound: no member.
    virtual Result<int64_t> end_lease(const WorkerId& id, WallTime now) = 0;

    // Models. Name and source are unique.
    virtual Status create_model(const Model& model) = 0;
    virtual Status update_model(const Model& model, int64_t expected_version) = 0;
    virtual Status delete_model(const ModelId& id) = 0;             // kConflict while a deployment has its source
    virtual Result<Model> model(const ModelId& id) = 0;
    virtual Result<Model> model_by_name(const std::string& name) = 0;
    virtual Result<Model> model_by_source(const std::string& source) = 0;
    virtual Result<Page<Model>> models(const PageRequest& page) = 0;

    // Routes. Their names are unique, deployments' and providers' models' names included (kConflict on either side).
    virtual Status create_route(const Route& route) = 0;
    virtual Status update_route(const Route& route, int64_t expected_version) = 0;   // all but id and name
    virtual Status delete_route(const RouteId& id) = 0;
    virtual Result<Route> route(const RouteId& id) = 0;
    virtual Result<Route> route_by_name(const std::string& name) = 0;
    virtual Result<Page<Route>> routes(const PageRequest& page) = 0;

    // Outside providers. create: kConflict where a deployment or a route is named NAME/..., and for those where the provider is.
    virtual Status create_provider(const Provider& provider) = 0;
    virtual Status update_provider(const Provider& provider, int64_t expected_version) = 0;   // all but id and name
    virtual Status delete_provider(const ProviderId& id) = 0;
    virtual Result<Provider> provider(const ProviderId& id) = 0;
    virtual Result<Provider> provider_by_name(const std::string& name) = 0;
    virtual Result<Page<Provider>> providers(const PageRequest& page) = 0;

    // Users, keys, sessions. Deleting a user deletes keys and sessions of it in the same transaction. The last enabled admin
    // can't be deleted, disabled or demoted (kConflict, reason "last_admin"). Ending a session that is gone is ok.
    virtual Status create_user(const User& user) = 0;
    // A user who logs in at an outside provider, with both rows or none. kConflict where the name or the identity has one already.
    virtual Status create_user(const User& user, const Identity& identity) = 0;
    virtual Result<User> user_by_identity(const Identity& identity) = 0;
    virtual Status update_user(const User& user, int64_t expected_version) = 0;
    virtual Status delete_user(const UserId& id) = 0;
    virtual Result<User> user(const UserId& id) = 0;
    virtual Result<User> user_by_name(const std::string& name) = 0;
    virtual Result<Page<User>> users(const PageRequest& page) = 0;
    virtual Status create_key(const ApiKey& key) = 0;
    virtual Status update_key(const ApiKey& key, int64_t expected_version) = 0;   // all but id, owner, secret
    virtual Status delete_key(const ApiKeyId& id) = 0;
    virtual Result<ApiKey> key(const ApiKeyId& id) = 0;
    virtual Result<Page<ApiKey>> keys(const PageRequest& page, const UserId& of = {}) = 0;
    virtual Status create_session(const Session& session) = 0;
    virtual Status delete_session(const std::string& token_digest) = 0;
    virtual Status delete_sessions_of(const UserId& user) = 0;
    virtual Status delete_sessions_before(WallTime now) = 0;        // expired ones

    // Everything at once, in one read transaction: for the reconciler and for the gateway's tables.
    virtual Result<Snapshot> snapshot() = 0;
    struct AuthRows {
        std::vector<User> users;
        std::vector<ApiKey> keys;
        std::vector<Session> sessions;
    };
    virtual Result<AuthRows> auth_rows() = 0;

    // Small named values (the server's own id, the embedded worker's id, "initial password written").
    virtual Result<std::optional<std::string>> setting(const std::string& name) = 0;
    virtual Status set_setting(const std::string& name, const std::string& value) = 0;

    // Usage: idempotent by request id (the first record of an id stays); a batch, with the hours it adds to, is one
    // transaction. By time, then request id; name_contains looks at the model.
    virtual Status add_usage(const std::vector<UsageRecord>& records) = 0;
    // Sums of [from, before) by user and key, of whole hours and the records beside them.
    virtual Result<std::vector<TokensUsed>> tokens_used(WallTime from, WallTime before) = 0;
    virtual Result<Page<UsageRecord>> usage(const PageRequest& page, const UsageFilter& filter = {}) = 0;
    virtual Result<Page<UsageSummary>> usage_summary(const UsageSummaryRequest& request) = 0;
    // Deletes records, a few thousand a transaction; the hours stay. A record that comes again after that counts again, so
    // whoever calls this has seen to it that no journal holds such ones any more. The number deleted.
    virtual Result<uint64_t> delete_usage_before(WallTime before) = 0;

    // Answers to be given again (control/api/repeats.h). keep_answer: kConflict where the key has one. It also forgets answers of
    // before `forget_before` and all but the newest kKeptAnswersMax.
    virtual Status keep_answer(const KeptAnswer& answer, WallTime forget_before) = 0;
    virtual Result<std::optional<KeptAnswer>> kept_answer(const std::string& key) = 0;

    // Benchmarks. create: forgets those that are over but the newest kBenchmarksMax. update: targets, state, reason, progress, times,
    // runs, result of one that is not over; kConflict where it is. Lists hold no results.
    virtual Status create_benchmark(const Benchmark& benchmark) = 0;
    virtual Status update_benchmark(const Benchmark& benchmark) = 0;
    virtual Status delete_benchmark(const BenchmarkId& id) = 0;
    virtual Result<Benchmark> benchmark(const BenchmarkId& id) = 0;
    virtual Result<Page<Benchmark>> benchmarks(const PageRequest& page, const UserId& of = {}) = 0;
    virtual Result<std::vector<Benchmark>> open_benchmarks() = 0;   // queued and running ones, the oldest first

    // The audit log. By time, then id; name_contains looks at the object's name.
    virtual Status add_audit(const AuditEvent& event) = 0;
    virtual Result<Page<AuditEvent>> audit(const PageRequest& page, const AuditFilter& filter = {}) = 0;
};

// The version of the schema this binary writes.
int schema_version();

struct BackupFile {
    std::string path;
    uint64_t bytes = 0;
    WallTime created_at{};
};
// store.backup() into `data_dir`/backups (mode 0700), under a name of the time.
Result<BackupFile> backup_into_folder(Store& store, const std::string& data_dir, WallTime now);

// Brings a backup back, with the server stopped: checks it, then puts it in place of what `data_dir` holds; what was there is
// kept beside it as *.replaced-N. kConflict while a server uses the folder; kInvalidArgument for what is no (whole) backup.
// A kill in the middle leaves a folder that refuses to start until restore is run again: never half of each.
Status restore(const std::string& backup, const std::string& data_dir);

}  // namespace gantry::store
