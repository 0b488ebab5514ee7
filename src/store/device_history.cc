// The tables of what devices did: written by control/device_history.h only.

#include <cmath>

#include "store/rows.h"
#include "store/sqlite_store.h"

namespace gantry::store {
namespace {

constexpr double kShare = 10'000;    // utilization and degrees are stored as whole numbers of these parts
constexpr double kDegree = 10;

std::optional<int64_t> whole(const std::optional<double>& value, double parts) {
    return value ? std::optional(std::llround(*value * parts)) : std::nullopt;
}

std::optional<double> parted(const std::optional<int64_t>& value, double parts) {
    return value ? std::optional(static_cast<double>(*value) / parts) : std::nullopt;
}

void read(Columns& columns, DeviceQuarter& q) {
    std::optional<int64_t> memory, mean, most, temperature;
    columns >> q.vendor >> q.index >> q.at >> q.minutes >> memory >> mean >> most >> temperature;
    if (memory) q.figures.memory_used_bytes = static_cast<uint64_t>(*memory);
    q.figures.utilization = parted(mean, kShare);
    q.figures.utilization_max = parted(most, kShare);
    q.figures.temperature_celsius = parted(temperature, kDegree);
}

Status insert(Connection& db, const DeviceQuarter& q) {
    auto named = db.run("INSERT INTO device_series (worker_id, vendor, place) SELECT id, ?, ? FROM workers WHERE id = ? ON CONFLICT DO NOTHING",
                        q.vendor, q.index, q.worker_id);
    if (!named) return std::move(named).error();
    const DeviceFigures& f = q.figures;
    // What the server measured before it was restarted, and after that.
    auto added = db.run(
        "INSERT INTO device_history SELECT id, ?, ?, ?, ?, ?, ? FROM device_series WHERE worker_id = ? AND vendor = ? AND place = ? "
        "ON CONFLICT (series, at) DO UPDATE SET "
        "memory_used = coalesce((memory_used * minutes + excluded.memory_used * excluded.minutes) / (minutes + excluded.minutes), "
        "memory_used, excluded.memory_used), "
        "utilization = coalesce((utilization * minutes + excluded.utilization * excluded.minutes) / (minutes + excluded.minutes), "
        "utilization, excluded.utilization), "
        "utilization_max = coalesce(max(utilization_max, excluded.utilization_max), utilization_max, excluded.utilization_max), "
        "temperature = coalesce((temperature * minutes + excluded.temperature * excluded.minutes) / (minutes + excluded.minutes), "
        "temperature, excluded.temperature), "
        "minutes = min(15, minutes + excluded.minutes)",
        q.at, q.minutes, f.memory_used_bytes, whole(f.utilization, kShare), whole(f.utilization_max, kShare),
        whole(f.temperature_celsius, kDegree), q.worker_id, q.vendor, q.index);
    if (!added) return std::move(added).error();
    return Ok{};
}

}  // namespace

Status SqliteStore::add_device_history(const std::vector<DeviceQuarter>& quarters, WallTime now) {
    return control_->write(Database::Synchronous::kNormal, [&](Connection& db) -> Status {
        for (const DeviceQuarter& q : quarters) GANTRY_TRY(insert(db, q));
        // Series by series, so that the key finds the rows.
        auto cut = db.run("DELETE FROM device_history WHERE series IN (SELECT id FROM device_series) AND at < ?", now - kDeviceHistoryKept);
        if (!cut) return std::move(cut).error();
        auto ended = db.run("DELETE FROM device_series WHERE NOT EXISTS (SELECT 1 FROM device_history WHERE series = id)");
        if (!ended) return std::move(ended).error();
        return Ok{};
    });
}

Result<Store::DeviceHistory> SqliteStore::device_history(const WorkerId& worker, WallTime from, WallTime to) {
    return control_->read([&](Connection& db) -> Result<DeviceHistory> {
        DeviceHistory out;
        Statement first = db.query(
            "SELECT min((SELECT min(at) FROM device_history WHERE series = id)) FROM device_series WHERE worker_id = ?", worker);
        auto row = first.step();
        if (!row) return std::move(row).error();
        Columns(first) >> out.since;
        auto quarters = read_all<DeviceQuarter>(
            db,
            db.query("SELECT vendor, place, at, minutes, memory_used, utilization, utilization_max, temperature FROM device_series "
                     "JOIN device_history ON series = id WHERE worker_id = ? AND at >= ? AND at < ? ORDER BY vendor, place, at",
                     worker, from, to),
            "device history", read);
        if (!quarters) return std::move(quarters).error();
        out.quarters = *std::move(quarters);
        for (DeviceQuarter& q : out.quarters) q.worker_id = worker;
        return out;
    });
}

}  // namespace gantry::store
