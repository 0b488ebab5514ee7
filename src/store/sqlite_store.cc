#include "store/sqlite_store.h"

#include "base/log.h"
#include "store/migrations.h"
#include "store/tables.h"

namespace gantry::store {
namespace {

using Databases = std::pair<std::unique_ptr<Database>, std::unique_ptr<Database>>;

Result<Databases> open_databases(const DataFolder& folder, const DatabaseOptions& options) {
    const bool used = folder.initialized();
    auto control = Database::open({folder.file("gantry.db"), &control_migrations(), kControlApplicationId, used,
                                   folder.stopped_uncleanly()},
                                  options);
    if (!control) return std::move(control).error();
    // Usage may be large, and a damaged page of it stops nobody from serving: no full check.
    auto usage =
        Database::open({folder.file("usage.db"), &usage_migrations(), kUsageApplicationId, used, false}, options);
    if (!usage) return std::move(usage).error();
    return Databases{std::move(*control), std::move(*usage)};
}

}  // namespace

int schema_version() { return control_migrations().back().version; }

Result<std::unique_ptr<Store>> Store::open(const std::string& data_dir) {
    auto store = SqliteStore::open(data_dir, {});
    if (!store) return std::move(store).error();
    return std::unique_ptr<Store>(std::move(*store));
}

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(const std::string& data_dir, const DatabaseOptions& options) {
    auto folder = DataFolder::lock(data_dir);
    if (!folder) return std::move(folder).error();
    if (folder->stopped_uncleanly()) log::warn("the last stop was not a clean one: checking the database");
    auto databases = open_databases(*folder, options);
    if (!databases) {
        // Nothing was used: a refused start is no unclean stop, unless the one before was.
        if (!folder->stopped_uncleanly()) (void)folder->mark_clean();
        return std::move(databases).error();
    }
    GANTRY_TRY(folder->mark_initialized());
    return std::unique_ptr<SqliteStore>(
        new SqliteStore(std::move(*folder), std::move(databases->first), std::move(databases->second)));
}

std::unique_ptr<Store::Together> SqliteStore::together() {
    class Held final : public Together {
    public:
        explicit Held(Database& database) : writes_(database) {}
        Status commit() override { return writes_.commit(); }

    private:
        Database::Together writes_;
    };
    return std::make_unique<Held>(*control_);
}

Status SqliteStore::close() {
    GANTRY_TRY(control_->close());
    GANTRY_TRY(usage_->close());
    return folder_.mark_clean();
}

Result<Snapshot> SqliteStore::snapshot() {
    return control_->read([](Connection& db) -> Result<Snapshot> {
        auto deployments = all_deployments(db);
        if (!deployments) return std::move(deployments).error();
        auto instances = all_instances(db);
        if (!instances) return std::move(instances).error();
        auto workers = all_workers(db);
        if (!workers) return std::move(workers).error();
        auto models = all_models(db);
        if (!models) return std::move(models).error();
        auto routes = all_routes(db);
        if (!routes) return std::move(routes).error();
        auto providers = all_providers(db);
        if (!providers) return std::move(providers).error();
        auto memberships = all_memberships(db);
        if (!memberships) return std::move(memberships).error();
        auto revisions = all_revisions(db);
        if (!revisions) return std::move(revisions).error();
        return Snapshot{std::move(*deployments), std::move(*instances), std::move(*workers), std::move(*models), std::move(*routes),
                        std::move(*providers), std::move(*memberships), std::move(*revisions)};
    });
}

Result<Store::AuthRows> SqliteStore::auth_rows() {
    return control_->read([](Connection& db) -> Result<AuthRows> {
        auto users = all_users(db);
        if (!users) return std::move(users).error();
        auto keys = all_keys(db);
        if (!keys) return std::move(keys).error();
        auto sessions = all_sessions(db);
        if (!sessions) return std::move(sessions).error();
        return AuthRows{std::move(*users), std::move(*keys), std::move(*sessions)};
    });
}

}  // namespace gantry::store
