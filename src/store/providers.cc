// The table of outside providers: written by the API only.

#include <fmt/format.h>

#include "store/json_columns.h"
#include "store/rows.h"
#include "store/sqlite_store.h"
#include "store/tables.h"

namespace gantry::store {
namespace {

constexpr char kSelect[] = "SELECT id, name, base_url, sealed_key, models, disabled, version, created_at, updated_at FROM providers";
constexpr ListSource kList{"provider", kSelect, "created_at", "id", "instr(lower(name), lower(?3)) > 0"};
constexpr char kDeploymentBelow[] = "SELECT 1 FROM deployments WHERE substr(name, 1, length(?1)) = ?1";
constexpr char kRouteBelow[] = "SELECT 1 FROM routes WHERE substr(name, 1, length(?1)) = ?1";

void read(Columns& columns, Provider& p) {
    columns >> p.id >> p.name >> p.base_url >> p.sealed_key >> p.models >> p.disabled >> p.version >> p.created_at >> p.updated_at;
}

Error explain_taken(Error error, const Provider& provider) {
    return explain(std::move(error),
                   {{"providers.name", ErrorCode::kConflict,
                     fmt::format("there is a provider named '{}' already: edit that one, or choose another name.", provider.name), "name"}});
}

Result<Provider> find(Database& control, const char* where, const std::string& key) {
    return control.read([&](Connection& db) {
        return read_one<Provider>(db, db.query(fmt::format("{} WHERE {} = ?", kSelect, where), key), "provider", key, read);
    });
}

}  // namespace

Status check_no_provider(Connection& db, const std::string& name) {
    const size_t slash = name.find('/');
    if (slash == std::string::npos) return Ok{};
    const std::string provider = name.substr(0, slash);
    return check_free(db, "SELECT 1 FROM providers WHERE name = ?", provider,
                      fmt::format("provider named '{}', to whose models this name belongs,", provider));
}

Status SqliteStore::create_provider(const Provider& provider) {
    const Provider& p = provider;
    auto models = to_json_text(p.models);
    if (!models) return std::move(models).error();
    return change([&](Connection& db) -> Status {
        GANTRY_TRY(check_free(db, kDeploymentBelow, p.name + "/", fmt::format("deployment named '{}/...'", p.name)));
        GANTRY_TRY(check_free(db, kRouteBelow, p.name + "/", fmt::format("route named '{}/...'", p.name)));
        auto done = db.run("INSERT INTO providers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", p.id, p.name, p.base_url, p.sealed_key, *models,
                           p.disabled, p.version, p.created_at, p.updated_at);
        if (!done) return explain_taken(std::move(done).error(), p);
        return Ok{};
    });
}

Status SqliteStore::update_provider(const Provider& provider, int64_t expected_version) {
    const Provider& p = provider;
    auto models = to_json_text(p.models);
    if (!models) return std::move(models).error();
    return change([&](Connection& db) -> Status {
        auto changed = db.run(
            "UPDATE providers SET base_url = ?, sealed_key = ?, models = ?, disabled = ?, version = ?, updated_at = ? "
            "WHERE id = ? AND version = ?",
            p.base_url, p.sealed_key, *models, p.disabled, p.version, p.updated_at, p.id, expected_version);
        if (!changed) return std::move(changed).error();
        if (*changed == 1) return Ok{};
        return missing_or_stale(db, "SELECT version FROM providers WHERE id = ?", "provider", p.id.text, expected_version);
    });
}

Status SqliteStore::delete_provider(const ProviderId& id) {
    return change([&](Connection& db) -> Status {
        auto deleted = db.run("DELETE FROM providers WHERE id = ?", id);
        return one_row(deleted, "provider", id.text);
    });
}

Result<Provider> SqliteStore::provider(const ProviderId& id) { return find(*control_, "id", id.text); }
Result<Provider> SqliteStore::provider_by_name(const std::string& name) { return find(*control_, "name", name); }

Result<Page<Provider>> SqliteStore::providers(const PageRequest& page) {
    return control_->read([&](Connection& db) {
        return read_page<Provider>(db, kList, page, {}, read, [](const Provider& p) { return std::pair{p.created_at, p.id.text}; });
    });
}

Result<std::vector<Provider>> all_providers(Connection& db) {
    return read_all<Provider>(db, db.query(std::string(kSelect) + " ORDER BY created_at, id"), "provider", read);
}

}  // namespace gantry::store
