// The table of workers. The API writes name, cordoned, drain_by and labels; heartbeat observes the rest.

#include <fmt/format.h>

#include "store/json_columns.h"
#include "store/rows.h"
#include "store/sqlite_store.h"
#include "store/tables.h"

namespace gantry::store {
namespace {

constexpr char kSelect[] =
    "SELECT id, name, address, gantry_version, cordoned, version, created_at, state, last_report_at, devices, "
    "labels, os, arch, device_notes, drain_by FROM workers";
constexpr ListSource kList{"worker", kSelect, "created_at", "id", "instr(lower(name), lower(?3)) > 0"};

void read(Columns& columns, Worker& w) {
    columns >> w.id >> w.name >> w.address >> w.version >> w.cordoned >> w.version_number >> w.created_at >> w.state >>
        w.last_report_at >> w.devices >> w.labels >> w.os >> w.arch >> w.device_notes >> w.drain_by;
}

struct WorkerTexts {
    std::string devices, labels, device_notes;
};
Result<WorkerTexts> texts_of(const Worker& w) {
    auto devices = to_json_text(w.devices);
    if (!devices) return devices.error();
    auto labels = to_json_text(w.labels);
    if (!labels) return labels.error();
    auto notes = to_json_text(w.device_notes);
    if (!notes) return notes.error();
    return WorkerTexts{*std::move(devices), *std::move(labels), *std::move(notes)};
}

Error explain_name(Error error, const Worker& worker) {
    return explain(std::move(error),
                   {{"workers.name", ErrorCode::kConflict,
                     fmt::format("there is a worker named '{}' already: choose another name.", worker.name), "name"}});
}

}  // namespace

Status insert_worker(Connection& db, const Worker& worker) {
    const Worker& w = worker;
    const auto texts = texts_of(w);
    if (!texts) return texts.error();
    auto done = db.run("INSERT INTO workers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", w.id, w.name, w.address, w.version,
                       w.cordoned, w.version_number, w.created_at, w.state, w.last_report_at, texts->devices, texts->labels, w.os,
                       w.arch, texts->device_notes, w.drain_by);
    if (!done) return explain_name(std::move(done).error(), w);
    return Ok{};
}

Status SqliteStore::create_worker(const Worker& worker) {
    return change([&](Connection& db) { return insert_worker(db, worker); });
}

Status SqliteStore::update_worker(const Worker& worker, int64_t expected_version) {
    const Worker& w = worker;
    const auto texts = texts_of(w);
    if (!texts) return texts.error();
    return change([&](Connection& db) -> Status {
        auto changed = db.run("UPDATE workers SET name = ?, cordoned = ?, drain_by = ?, labels = ?, version = ? WHERE id = ? AND version = ?",
                              w.name, w.cordoned, w.drain_by, texts->labels, w.version_number, w.id, expected_version);
        if (!changed) return explain_name(std::move(changed).error(), w);
        if (*changed == 1) return Ok{};
        return missing_or_stale(db, "SELECT version FROM workers WHERE id = ?", "worker", w.id.text, expected_version);
    });
}

Status SqliteStore::delete_worker(const WorkerId& id) {
    return change([&](Connection& db) -> Status {
        // They are nobody's wish any more, and without the worker nobody could ever say that they are gone.
        auto ended = db.run("DELETE FROM instances WHERE worker_id = ? AND stopping = 1", id);
        if (!ended) return std::move(ended).error();
        auto deleted = db.run("DELETE FROM workers WHERE id = ?", id);
        if (!deleted) {
            return explain(std::move(deleted).error(),
                           {{"foreign_key", ErrorCode::kConflict,
                             "the worker still has instances: stop or move them first, then delete it."}});
        }
        if (*deleted == 0) return no_such("worker", id.text);
        return Ok{};
    });
}

Status SqliteStore::observe_worker(const Worker& worker) {
    const Worker& w = worker;
    const auto texts = texts_of(w);
    if (!texts) return texts.error();
    return control_->write(Database::Synchronous::kNormal, [&](Connection& db) -> Status {
        auto changed = db.run(
            "UPDATE workers SET state = ?, address = ?, gantry_version = ?, last_report_at = ?, devices = ?, os = ?, arch = ?, "
            "device_notes = ? WHERE id = ?",
            w.state, w.address, w.version, w.last_report_at, texts->devices, w.os, w.arch, texts->device_notes, w.id);
        return one_row(changed, "worker", w.id.text);
    });
}

Result<Worker> SqliteStore::worker(const WorkerId& id) {
    return control_->read([&](Connection& db) {
        return read_one<Worker>(db, db.query(std::string(kSelect) + " WHERE id = ?", id), "worker", id.text, read);
    });
}

Result<Page<Worker>> SqliteStore::workers(const PageRequest& page) {
    return control_->read([&](Connection& db) {
        return read_page<Worker>(db, kList, page, {}, read,
                                 [](const Worker& w) { return std::pair{w.created_at, w.id.text}; });
    });
}

Result<std::vector<Worker>> all_workers(Connection& db) {
    return read_all<Worker>(db, db.query(std::string(kSelect) + " ORDER BY created_at, id"), "worker", read);
}

}  // namespace gantry::store
