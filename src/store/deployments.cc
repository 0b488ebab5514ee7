// The table of deployments: written by the API; a failed update is taken back by the reconciler; asleep_since is of control/sleep.h.

#include <fmt/format.h>

#include "store/json_columns.h"
#include "store/rows.h"
#include "store/sqlite_store.h"
#include "store/tables.h"

namespace gantry::store {
namespace {

constexpr char kSelect[] =
    "SELECT id, name, source, backend, options, replicas, stopped, version, generation, created_at, updated_at, "
    "placement, rollout, newest_generation, notice, idle_timeout_seconds, asleep_since FROM deployments";
constexpr char kVersionOf[] = "SELECT version FROM deployments WHERE id = ?";
constexpr ListSource kList{"deployment", kSelect, "created_at", "id", "instr(lower(name), lower(?3)) > 0"};

void read(Columns& columns, Deployment& d) {
    columns >> d.id >> d.name >> d.source >> d.backend >> d.options >> d.replicas >> d.stopped >> d.version >>
        d.generation >> d.created_at >> d.updated_at >> d.placement >> d.rollout >> d.newest_generation >> d.notice >>
        d.idle_timeout_seconds >> d.asleep_since;
}

Error explain_name(Error error, const Deployment& deployment) {
    return explain(std::move(error),
                   {{"deployments.name", ErrorCode::kConflict,
                     fmt::format("there is a deployment named '{}' already: choose another name.", deployment.name), "name"}});
}

struct Texts {
    std::string options, placement, rollout;
};
Result<Texts> texts_of(const Deployment& d) {
    auto options = to_json_text(d.options);
    if (!options) return std::move(options).error();
    auto placement = to_json_text(d.placement);
    if (!placement) return std::move(placement).error();
    auto rollout = to_json_text(d.rollout);
    if (!rollout) return std::move(rollout).error();
    return Texts{*std::move(options), *std::move(placement), *std::move(rollout)};
}

}  // namespace

Status SqliteStore::create_deployment(const Deployment& deployment) {
    const Deployment& d = deployment;
    const auto texts = texts_of(d);
    if (!texts) return texts.error();
    return change([&](Connection& db) -> Status {
        GANTRY_TRY(check_no_route(db, d.name));
        GANTRY_TRY(check_no_provider(db, d.name));
        auto done = db.run("INSERT INTO deployments VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)", d.id, d.name,
                           d.source, d.backend, texts->options, d.replicas, d.stopped, d.version, d.generation, d.created_at,
                           d.updated_at, texts->placement, texts->rollout, d.newest_generation, d.notice, d.idle_timeout_seconds);
        if (!done) return explain_name(std::move(done).error(), d);
        return keep_revision(db, d);
    });
}

Status SqliteStore::update_deployment(const Deployment& deployment, int64_t expected_version) {
    const Deployment& d = deployment;
    const auto texts = texts_of(d);
    if (!texts) return texts.error();
    return change([&](Connection& db) -> Status {
        auto changed = db.run(
            "UPDATE deployments SET name = ?, source = ?, backend = ?, options = ?, replicas = ?, stopped = ?, version = ?, "
            "generation = ?, updated_at = ?, placement = ?, rollout = ?, newest_generation = ?, notice = ?, "
            "idle_timeout_seconds = ? WHERE id = ? AND version = ?",
            d.name, d.source, d.backend, texts->options, d.replicas, d.stopped, d.version, d.generation, d.updated_at,
            texts->placement, texts->rollout, d.newest_generation, d.notice, d.idle_timeout_seconds, d.id, expected_version);
        if (!changed) return explain_name(std::move(changed).error(), d);
        if (*changed == 1) return keep_revision(db, d);
        return missing_or_stale(db, kVersionOf, "deployment", d.id.text, expected_version);
    });
}

Status SqliteStore::set_asleep(const DeploymentId& id, std::optional<WallTime> since, int64_t version) {
    return change([&](Connection& db) -> Status {
        auto changed = db.run("UPDATE deployments SET asleep_since = ? WHERE id = ? AND version = ?", since, id, version);
        if (!changed) return std::move(changed).error();
        if (*changed == 1) return Ok{};
        return missing_or_stale(db, kVersionOf, "deployment", id.text, version);
    });
}

Status SqliteStore::delete_deployment(const DeploymentId& id) {
    return change([&](Connection& db) -> Status {
        auto deleted = db.run("DELETE FROM deployments WHERE id = ?", id);
        GANTRY_TRY(one_row(deleted, "deployment", id.text));
        auto marked = db.run(
            "UPDATE instances SET stopping = 1, reason = 'its deployment was deleted', "
            "state = CASE state WHEN 'error' THEN state WHEN 'unreachable' THEN state ELSE 'stopping' END "
            "WHERE deployment_id = ?",
            id);
        if (!marked) return std::move(marked).error();
        return Ok{};
    });
}

Result<Deployment> SqliteStore::deployment(const DeploymentId& id) {
    return control_->read([&](Connection& db) {
        return read_one<Deployment>(db, db.query(std::string(kSelect) + " WHERE id = ?", id), "deployment", id.text, read);
    });
}

Result<Deployment> SqliteStore::deployment_by_name(const std::string& name) {
    return control_->read([&](Connection& db) {
        return read_one<Deployment>(db, db.query(std::string(kSelect) + " WHERE name = ?", name), "deployment", name, read);
    });
}

Result<Page<Deployment>> SqliteStore::deployments(const PageRequest& page) {
    return control_->read([&](Connection& db) {
        return read_page<Deployment>(db, kList, page, {}, read,
                                     [](const Deployment& d) { return std::pair{d.created_at, d.id.text}; });
    });
}

Result<std::vector<Deployment>> all_deployments(Connection& db) {
    return read_all<Deployment>(db, db.query(std::string(kSelect) + " ORDER BY created_at, id"), "deployment", read);
}

}  // namespace gantry::store
