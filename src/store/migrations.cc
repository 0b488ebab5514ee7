#include "store/migrations.h"

#include <fmt/format.h>

#include "base/log.h"
#include "base/version.h"

namespace gantry::store {

Result<int> stored_version(Connection& db) {
    Statement pragma = db.query("PRAGMA user_version");
    auto row = pragma.step();
    if (!row) return std::move(row).error();
    return static_cast<int>(pragma.integer(0));
}

Status migrate(Connection& db, const std::vector<Migration>& migrations) {
    auto version = stored_version(db);
    if (!version) return std::move(version).error();
    const int newest = migrations.empty() ? 0 : migrations.back().version;
    if (*version > newest) {
        return internal_error(fmt::format(
            "{} has schema version {}, but this gantry knows versions up to {}: it was written by a newer gantry. Start "
            "that newer one, or bring back a backup of the older one with `gantry restore`.",
            db.file_name(), *version, newest));
    }
    for (const Migration& migration : migrations) {
        if (migration.version <= *version) continue;
        Transaction transaction(db);
        GANTRY_TRY(transaction.begin());
        // Another connection can't have migrated meanwhile: the data folder is locked.
        GANTRY_TRY(db.script(migration.sql));
        GANTRY_TRY(db.script(fmt::format("PRAGMA user_version = {}", migration.version)));
        GANTRY_TRY(transaction.commit());
        log::info("{}: applied migration {}", db.file_name(), migration.name);
    }
    return Ok{};
}

}  // namespace gantry::store
