// The audit log: rows are added and read, nothing else.

#include "store/json_columns.h"
#include "store/rows.h"
#include "store/sqlite_store.h"

namespace gantry::store {
namespace {

constexpr char kSelect[] =
    "SELECT id, at, actor_id, actor_name, via, peer, method, action, object_kind, object_id, object_name, changes, request_id, "
    "status FROM audit_log";
constexpr ListSource kList{"audit event", kSelect, "at", "id", "instr(lower(object_name), lower(?3)) > 0"};

void read(Columns& columns, AuditEvent& e) {
    columns >> e.id >> e.at >> e.actor_id >> e.actor_name >> e.via >> e.peer >> e.method >> e.action >> e.object_kind >>
        e.object_id >> e.object_name >> e.changes >> e.request_id >> e.status;
}

}  // namespace

Status SqliteStore::add_audit(const AuditEvent& event) {
    const AuditEvent& e = event;
    auto changes = to_json_text(e.changes);
    if (!changes) return std::move(changes).error();
    return change([&](Connection& db) -> Status {
        auto done = db.run("INSERT INTO audit_log VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", e.id, e.at, e.actor_id,
                           e.actor_name, e.via, e.peer, e.method, e.action, e.object_kind, e.object_id, e.object_name, *changes,
                           e.request_id, e.status);
        if (!done) return std::move(done).error();
        return Ok{};
    });
}

Result<Page<AuditEvent>> SqliteStore::audit(const PageRequest& page, const AuditFilter& filter) {
    ListFilters filters;
    filters.emplace_back(" AND (?5 = '' OR actor_id = ?5 OR actor_name = ?5)", filter.actor);
    filters.emplace_back(" AND (?6 = '' OR object_kind = ?6)", filter.kind);
    filters.emplace_back(" AND (?7 = '' OR object_id = ?7 OR object_name = ?7)", filter.object);
    return control_->read([&](Connection& db) {
        return read_filtered_page<AuditEvent>(db, kList, page, filters, read,
                                              [](const AuditEvent& e) { return std::pair{e.at, e.id.text}; });
    });
}

}  // namespace gantry::store
