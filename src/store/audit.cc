// The audit log: rows are added and read, nothing else. Those of one millisecond are listed in the order in which they were written.

#include "store/json_columns.h"
#include "store/rows.h"
#include "store/sqlite_store.h"

namespace gantry::store {
namespace {

constexpr char kSelect[] =
    "SELECT seq, id, at, actor_id, actor_name, via, peer, method, action, object_kind, object_id, object_name, changes, request_id, "
    "status FROM audit_log";
constexpr ListSource kList{.thing = "audit event",
                           .select = kSelect,
                           .time_column = "at",
                           .id_column = "seq",
                           .name_filter = "instr(lower(object_name), lower(?3)) > 0",
                           .last_id = "CAST(?2 AS INTEGER)"};

struct Row {
    int64_t seq = 0;
    AuditEvent event;
};
void read(Columns& columns, Row& row) {
    AuditEvent& e = row.event;
    columns >> row.seq >> e.id >> e.at >> e.actor_id >> e.actor_name >> e.via >> e.peer >> e.method >> e.action >> e.object_kind >>
        e.object_id >> e.object_name >> e.changes >> e.request_id >> e.status;
}

}  // namespace

Status SqliteStore::add_audit(const AuditEvent& event) {
    const AuditEvent& e = event;
    auto changes = to_json_text(e.changes);
    if (!changes) return std::move(changes).error();
    return change([&](Connection& db) -> Status {
        auto done = db.run("INSERT INTO audit_log VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", e.id, e.at, e.actor_id,
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
    auto rows = control_->read([&](Connection& db) {
        return read_filtered_page<Row>(db, kList, page, filters, read,
                                       [](const Row& row) { return std::pair{row.event.at, std::to_string(row.seq)}; });
    });
    if (!rows) return std::move(rows).error();
    Page<AuditEvent> out;
    out.next_cursor = std::move(rows->next_cursor);
    out.items.reserve(rows->items.size());
    for (Row& row : rows->items) out.items.push_back(std::move(row.event));
    return out;
}

}  // namespace gantry::store
