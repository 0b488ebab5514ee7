// The table of routes: written by the API only.

#include <fmt/format.h>

#include "store/json_columns.h"
#include "store/rows.h"
#include "store/sqlite_store.h"
#include "store/tables.h"

namespace gantry::store {
namespace {

constexpr char kSelect[] = "SELECT id, name, targets, fallback, disabled, version, created_at, updated_at FROM routes";
constexpr ListSource kList{"route", kSelect, "created_at", "id", "instr(lower(name), lower(?3)) > 0"};

void read(Columns& columns, Route& r) {
    columns >> r.id >> r.name >> r.targets >> r.fallback >> r.disabled >> r.version >> r.created_at >> r.updated_at;
}

Error explain_taken(Error error, const Route& route) {
    return explain(std::move(error), {{"routes.name", ErrorCode::kConflict,
                                       fmt::format("there is a route named '{}' already: edit that one, or choose another name.", route.name),
                                       "name"}});
}

Result<Route> find(Database& control, const char* where, const std::string& key) {
    return control.read([&](Connection& db) {
        return read_one<Route>(db, db.query(fmt::format("{} WHERE {} = ?", kSelect, where), key), "route", key, read);
    });
}

}  // namespace

Status check_free(Connection& db, const char* sql, const std::string& key, const std::string& what) {
    Statement statement = db.query(sql, key);
    auto row = statement.step();
    if (!row) return std::move(row).error();
    if (!*row) return Ok{};
    return Error{ErrorCode::kConflict, fmt::format("there is a {} already, and a name means one thing: choose another.", what), "name", {}};
}

Status check_no_route(Connection& db, const std::string& name) {
    return check_free(db, "SELECT 1 FROM routes WHERE name = ?", name, fmt::format("route named '{}'", name));
}

Status SqliteStore::create_route(const Route& route) {
    const Route& r = route;
    auto targets = to_json_text(r.targets);
    if (!targets) return std::move(targets).error();
    return change([&](Connection& db) -> Status {
        GANTRY_TRY(check_free(db, "SELECT 1 FROM deployments WHERE name = ?", r.name, fmt::format("deployment named '{}'", r.name)));
        GANTRY_TRY(check_no_provider(db, r.name));
        auto done = db.run("INSERT INTO routes VALUES (?, ?, ?, ?, ?, ?, ?, ?)", r.id, r.name, *targets, r.fallback, r.disabled, r.version,
                           r.created_at, r.updated_at);
        if (!done) return explain_taken(std::move(done).error(), r);
        return Ok{};
    });
}

Status SqliteStore::update_route(const Route& route, int64_t expected_version) {
    const Route& r = route;
    auto targets = to_json_text(r.targets);
    if (!targets) return std::move(targets).error();
    return change([&](Connection& db) -> Status {
        auto changed = db.run(
            "UPDATE routes SET targets = ?, fallback = ?, disabled = ?, version = ?, updated_at = ? WHERE id = ? AND version = ?", *targets,
            r.fallback, r.disabled, r.version, r.updated_at, r.id, expected_version);
        if (!changed) return std::move(changed).error();
        if (*changed == 1) return Ok{};
        return missing_or_stale(db, "SELECT version FROM routes WHERE id = ?", "route", r.id.text, expected_version);
    });
}

Status SqliteStore::delete_route(const RouteId& id) {
    return change([&](Connection& db) -> Status {
        auto deleted = db.run("DELETE FROM routes WHERE id = ?", id);
        return one_row(deleted, "route", id.text);
    });
}

Result<Route> SqliteStore::route(const RouteId& id) { return find(*control_, "id", id.text); }
Result<Route> SqliteStore::route_by_name(const std::string& name) { return find(*control_, "name", name); }

Result<Page<Route>> SqliteStore::routes(const PageRequest& page) {
    return control_->read([&](Connection& db) {
        return read_page<Route>(db, kList, page, {}, read, [](const Route& r) { return std::pair{r.created_at, r.id.text}; });
    });
}

Result<std::vector<Route>> all_routes(Connection& db) {
    return read_all<Route>(db, db.query(std::string(kSelect) + " ORDER BY created_at, id"), "route", read);
}

}  // namespace gantry::store
