#pragma once
// The numbered migrations of schema/, embedded at configure time, and how they are applied: forward only, each in one
// transaction together with PRAGMA user_version, so that a kill or a full disk leaves the version before or the one after.

#include <string>
#include <vector>

#include "base/result.h"
#include "store/statement.h"

namespace gantry::store {

struct Migration {
    int version;        // 1, 2, ...: the user_version once it is applied
    const char* name;   // of the file
    const char* sql;
};
const std::vector<Migration>& control_migrations();   // of gantry.db
const std::vector<Migration>& usage_migrations();     // of usage.db

// The version a database file says it has; 0: empty.
Result<int> stored_version(Connection& db);

// Brings the file to the last of `migrations`. kInternal, naming both versions, where the file is newer than that.
Status migrate(Connection& db, const std::vector<Migration>& migrations);

}  // namespace gantry::store
