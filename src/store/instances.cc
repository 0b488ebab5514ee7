// The table of instances. The reconciler creates, places, marks and deletes; heartbeat observes.

#include <fmt/format.h>

#include "store/json_columns.h"
#include "store/rows.h"
#include "store/sqlite_store.h"
#include "store/tables.h"

namespace gantry::store {
namespace {

constexpr char kSelect[] =
    "SELECT id, deployment_id, replica_index, generation, ifnull(worker_id, ''), stopping, created_at, state, reason, "
    "state_since, progress, endpoint, api_key, pid, restarts, memory_bytes, placement, memory_private_bytes, memory_peak_bytes "
    "FROM instances";
// An instance has no name: the filter looks at its id and at its deployment's name.
constexpr ListSource kList{"instance",
                           kSelect,
                           "created_at",
                           "id",
                           "(instr(lower(id), lower(?3)) > 0 OR EXISTS (SELECT 1 FROM deployments d WHERE d.id = "
                           "deployment_id AND instr(lower(d.name), lower(?3)) > 0))",
                           " AND deployment_id = ?5"};

void read(Columns& columns, Instance& i) {
    columns >> i.id >> i.deployment_id >> i.index >> i.generation >> i.worker_id >> i.stopping >> i.created_at >> i.state >>
        i.reason >> i.state_since >> i.progress >> i.endpoint >> i.api_key >> i.pid >> i.restarts >> i.memory_bytes >> i.placement >>
        i.memory_private_bytes >> i.memory_peak_bytes;
}

Error explain_worker(Error error, const WorkerId& worker) {
    return explain(std::move(error), {{"foreign_key", ErrorCode::kNotFound,
                                       fmt::format("the worker '{}' is gone: place the instance elsewhere.", worker.text)}});
}

// What a placement or a note found instead of an instance that waits for one.
Error not_pending(Connection& db, const InstanceId& id) {
    Statement statement = db.query("SELECT stopping FROM instances WHERE id = ?", id);
    auto row = statement.step();
    if (!row) return std::move(row).error();
    if (!*row) return no_such("instance", id.text);
    return conflict(fmt::format("the instance '{}' is {}, so it can't be placed.", id.text,
                                statement.integer(0) != 0 ? "being stopped" : "placed already"));
}

Status create(Connection& db, const Instance& i) {
    // In the same transaction as the insert: a deployment deleted while the reconciler planned gets no new instances.
    Statement exists = db.query("SELECT 1 FROM deployments WHERE id = ?", i.deployment_id);
    auto row = exists.step();
    if (!row) return std::move(row).error();
    if (!*row) return no_such("deployment", i.deployment_id.text);
    auto placement = to_json_text(i.placement);
    if (!placement) return placement.error();
    auto done = db.run(
        "INSERT INTO instances VALUES (?, ?, ?, ?, nullif(?, ''), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', ?, ?)", i.id,
        i.deployment_id, i.index, i.generation, i.worker_id, i.stopping, i.created_at, i.state, i.reason, i.state_since,
        i.progress, i.endpoint, i.api_key, i.pid, i.restarts, i.memory_bytes, *placement, i.memory_private_bytes,
        i.memory_peak_bytes);
    if (!done) return explain_worker(std::move(done).error(), i.worker_id);
    return Ok{};
}

}  // namespace

Status SqliteStore::create_instance(const Instance& instance) {
    return change([&](Connection& db) { return create(db, instance); });
}

Status SqliteStore::place_instance(const InstanceId& id, const Placement& placement, const std::string& decision, WallTime now) {
    auto text = to_json_text(placement);
    if (!text) return text.error();
    return change([&](Connection& db) -> Status {
        auto changed = db.run(
            "UPDATE instances SET worker_id = ?, placement = ?, decision = ?, state = ?, reason = '', state_since = ? "
            "WHERE id = ? AND worker_id IS NULL AND stopping = 0",
            placement.leader(), *text, decision, InstanceState::kScheduled, now, id);
        if (!changed) return explain_worker(std::move(changed).error(), placement.leader());
        if (*changed == 1) return Ok{};
        return not_pending(db, id);
    });
}

Status SqliteStore::set_instance_reason(const InstanceId& id, const std::string& reason) {
    // The reconciler says the same in every round: only a new reason is worth an fsync.
    auto known = instance(id);
    if (!known) return std::move(known).error();
    if (known->reason == reason) return Ok{};
    return change([&](Connection& db) -> Status {
        auto changed = db.run("UPDATE instances SET reason = ? WHERE id = ? AND worker_id IS NULL", reason, id);
        if (!changed) return std::move(changed).error();
        if (*changed == 1) return Ok{};
        return not_pending(db, id);
    });
}

Status SqliteStore::mark_instance_stopping(const InstanceId& id, WallTime now) {
    return change([&](Connection& db) -> Status {
        auto changed = db.run(
            "UPDATE instances SET stopping = 1, state_since = iif(stopping, state_since, ?), "
            "state = CASE state WHEN 'error' THEN state WHEN 'unreachable' THEN state ELSE 'stopping' END WHERE id = ?",
            now, id);
        return one_row(changed, "instance", id.text);
    });
}

Status SqliteStore::delete_instance(const InstanceId& id) {
    return change([&](Connection& db) -> Status {
        auto deleted = db.run("DELETE FROM instances WHERE id = ?", id);
        return one_row(deleted, "instance", id.text);
    });
}

Status SqliteStore::observe_instances(const std::vector<Instance>& instances) {
    if (instances.empty()) return Ok{};
    return control_->write(Database::Synchronous::kNormal, [&](Connection& db) -> Status {
        for (const Instance& i : instances) {
            // A report that was on its way when the instance was marked must not make it look as if it took requests.
            auto changed = db.run(
                "UPDATE instances SET "
                "state = iif(stopping AND ?1 NOT IN ('error', 'unreachable'), 'stopping', ?1), "
                "state_since = iif(stopping AND state = 'stopping' AND ?1 NOT IN ('error', 'unreachable'), state_since, ?2), "
                "reason = ?3, progress = ?4, endpoint = ?5, api_key = ?6, pid = ?7, restarts = ?8, memory_bytes = ?9, "
                "memory_private_bytes = ?10, memory_peak_bytes = ?11 WHERE id = ?12",
                i.state, i.state_since, i.reason, i.progress, i.endpoint, i.api_key, i.pid, i.restarts, i.memory_bytes,
                i.memory_private_bytes, i.memory_peak_bytes, i.id);
            if (!changed) return std::move(changed).error();
        }
        return Ok{};
    });
}

Result<Instance> SqliteStore::instance(const InstanceId& id) {
    return control_->read([&](Connection& db) {
        return read_one<Instance>(db, db.query(std::string(kSelect) + " WHERE id = ?", id), "instance", id.text, read);
    });
}

Result<std::string> SqliteStore::instance_decision(const InstanceId& id) {
    return control_->read([&](Connection& db) -> Result<std::string> {
        Statement statement = db.query("SELECT decision FROM instances WHERE id = ?", id);
        auto row = statement.step();
        if (!row) return std::move(row).error();
        if (!*row) return no_such("instance", id.text);
        return statement.text(0);
    });
}

Result<std::vector<InstanceEvent>> SqliteStore::instance_events(const InstanceId& id) {
    return control_->read([&](Connection& db) -> Result<std::vector<InstanceEvent>> {
        auto events = read_all<InstanceEvent>(
            db, db.query("SELECT at, state, reason, restarts FROM instance_events WHERE instance_id = ? ORDER BY id", id), "instance event",
            [](Columns& columns, InstanceEvent& event) { columns >> event.at >> event.state >> event.reason >> event.restarts; });
        if (events && events->empty()) return no_such("instance", id.text);
        return events;
    });
}

Result<Page<Instance>> SqliteStore::instances(const PageRequest& page, const DeploymentId& of) {
    return control_->read([&](Connection& db) {
        return read_page<Instance>(db, kList, page, of.text, read,
                                   [](const Instance& i) { return std::pair{i.created_at, i.id.text}; });
    });
}

Result<std::vector<Instance>> all_instances(Connection& db) {
    return read_all<Instance>(db, db.query(std::string(kSelect) + " ORDER BY created_at, id"), "instance", read);
}

}  // namespace gantry::store
