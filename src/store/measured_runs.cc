// The table of measured runs: written by heartbeat only.

#include "store/rows.h"
#include "store/sqlite_store.h"

namespace gantry::store {
namespace {

void read(Columns& columns, MeasuredRun& run) {
    columns >> run.instance_id >> run.deployment >> run.backend >> run.architecture >> run.source >> run.vendor >>
        run.estimate_bytes >> run.peak_bytes;
}

}  // namespace

Status SqliteStore::add_measured_runs(const std::vector<MeasuredRun>& runs, WallTime now) {
    if (runs.empty()) return Ok{};
    return control_->write(Database::Synchronous::kNormal, [&](Connection& db) -> Status {
        for (const MeasuredRun& run : runs) {
            auto done = db.run(
                "INSERT INTO measured_runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (instance_id) DO UPDATE SET "
                "estimate_bytes = excluded.estimate_bytes, peak_bytes = max(peak_bytes, excluded.peak_bytes), "
                "updated_at = excluded.updated_at",
                run.instance_id, run.deployment, run.backend, run.architecture, run.source, run.vendor, run.estimate_bytes,
                run.peak_bytes, now);
            if (!done) return std::move(done).error();
        }
        auto cut = db.run(
            "DELETE FROM measured_runs WHERE instance_id IN (SELECT instance_id FROM measured_runs ORDER BY updated_at DESC, "
            "instance_id LIMIT -1 OFFSET ?)",
            kMeasuredRunsMax);
        if (!cut) return std::move(cut).error();
        return Ok{};
    });
}

Result<std::vector<MeasuredRun>> SqliteStore::measured_runs() {
    return control_->read([&](Connection& db) {
        return read_all<MeasuredRun>(
            db,
            db.query("SELECT instance_id, deployment, backend, architecture, source, vendor, estimate_bytes, peak_bytes FROM "
                     "measured_runs ORDER BY updated_at DESC, instance_id"),
            "measured run", read);
    });
}

}  // namespace gantry::store
