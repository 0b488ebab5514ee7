// Small named values, and the write that /readyz makes.

#include "store/rows.h"
#include "store/sqlite_store.h"

namespace gantry::store {

Result<std::optional<std::string>> SqliteStore::setting(const std::string& name) {
    return control_->read([&](Connection& db) -> Result<std::optional<std::string>> {
        Statement statement = db.query("SELECT value FROM settings WHERE name = ?", name);
        auto row = statement.step();
        if (!row) return std::move(row).error();
        if (!*row) return std::optional<std::string>();
        return std::optional<std::string>(statement.text(0));
    });
}

Status SqliteStore::set_setting(const std::string& name, const std::string& value) {
    return change([&](Connection& db) -> Status {
        auto done = db.run("INSERT INTO settings VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", name,
                           value);
        if (!done) return std::move(done).error();
        return Ok{};
    });
}

// Committed, because a rolled back write never reaches the disk; without an fsync, because probes come every few seconds.
Status SqliteStore::check_writable() {
    return control_->write(Database::Synchronous::kNormal, [](Connection& db) -> Status {
        auto done = db.run("INSERT INTO write_check VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET count = count + 1");
        if (!done) return std::move(done).error();
        return Ok{};
    });
}

}  // namespace gantry::store
