// The table of revisions: what deployments ran. Made with the deployment's change; the reconciler says which were good.

#include "store/json_columns.h"
#include "store/rows.h"
#include "store/sqlite_store.h"
#include "store/tables.h"

namespace gantry::store {
namespace {

constexpr char kSelect[] =
    "SELECT deployment_id, generation, source, backend, options, placement, created_at, good_at FROM revisions";

void read(Columns& columns, Revision& r) {
    columns >> r.deployment_id >> r.generation >> r.source >> r.backend >> r.options >> r.placement >> r.created_at >> r.good_at;
}

}  // namespace

Status keep_revision(Connection& db, const Deployment& d) {
    auto options = to_json_text(d.options);
    if (!options) return std::move(options).error();
    auto placement = to_json_text(d.placement);
    if (!placement) return std::move(placement).error();
    auto kept = db.run("INSERT INTO revisions VALUES (?, ?, ?, ?, ?, ?, ?, NULL) ON CONFLICT DO NOTHING", d.id, d.generation,
                       d.source, d.backend, *options, *placement, d.updated_at);
    if (!kept) return std::move(kept).error();
    if (*kept == 0) return Ok{};
    auto forgotten = db.run(
        "DELETE FROM revisions WHERE deployment_id = ?1 AND generation <> ?2 "
        "AND generation NOT IN (SELECT generation FROM revisions WHERE deployment_id = ?1 ORDER BY generation DESC LIMIT ?3) "
        "AND generation NOT IN (SELECT generation FROM instances WHERE deployment_id = ?1) "
        "AND generation NOT IN (SELECT generation FROM revisions WHERE deployment_id = ?1 AND good_at IS NOT NULL "
        "ORDER BY good_at DESC LIMIT 1)",
        d.id, d.generation, kRevisionsKept);
    if (!forgotten) return std::move(forgotten).error();
    return Ok{};
}

Status SqliteStore::finish_rollout(const DeploymentId& id, int64_t generation, WallTime now) {
    return change([&](Connection& db) -> Status {
        // Behind all others of its deployment, even where the clock was set back.
        auto changed = db.run(
            "UPDATE revisions SET good_at = max(?1, 1 + ifnull((SELECT max(good_at) FROM revisions WHERE deployment_id = ?2), 0)) "
            "WHERE deployment_id = ?2 AND generation = ?3",
            now, id, generation);
        return one_row(changed, "revision", std::to_string(generation));
    });
}

Result<std::vector<Revision>> SqliteStore::revisions(const DeploymentId& of) {
    return control_->read([&](Connection& db) {
        return read_all<Revision>(db, db.query(std::string(kSelect) + " WHERE deployment_id = ? ORDER BY generation DESC", of),
                                  "revision", read);
    });
}

Result<std::vector<Revision>> all_revisions(Connection& db) {
    return read_all<Revision>(db, db.query(std::string(kSelect) + " ORDER BY deployment_id, generation"), "revision", read);
}

}  // namespace gantry::store
