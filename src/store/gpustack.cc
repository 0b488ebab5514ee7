#include "store/gpustack.h"

#include <fmt/format.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

namespace gantry::store {
namespace {

struct Close {
    void operator()(sqlite3* db) const { sqlite3_close(db); }
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Handle = std::unique_ptr<sqlite3, Close>;
using Prepared = std::unique_ptr<sqlite3_stmt, Close>;

Error unreadable(sqlite3* db) {
    return invalid_argument(fmt::format("it cannot be read as GPUStack's database: {}", sqlite3_errmsg(db)), "database");
}

Prepared prepare(sqlite3* db, const char* sql) {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, nullptr) != SQLITE_OK) return nullptr;
    return Prepared(statement);
}

Result<bool> has_table(sqlite3* db, const char* name) {
    const Prepared asked = prepare(db, "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1");
    if (asked == nullptr) return unreadable(db);
    sqlite3_bind_text(asked.get(), 1, name, -1, SQLITE_STATIC);
    const int code = sqlite3_step(asked.get());
    if (code != SQLITE_ROW && code != SQLITE_DONE) return unreadable(db);
    return code == SQLITE_ROW;
}

// `table` is one of our own words.
Result<std::optional<std::vector<GpuStackRow>>> rows_of(sqlite3* db, const char* table) {
    using Rows = std::optional<std::vector<GpuStackRow>>;
    const auto there = has_table(db, table);
    if (!there) return there.error();
    if (!*there) return Rows();
    std::vector<GpuStackRow> rows;
    const Prepared all = prepare(db, fmt::format("SELECT * FROM {}", table).c_str());
    if (all == nullptr) return unreadable(db);
    int code = SQLITE_OK;
    while ((code = sqlite3_step(all.get())) == SQLITE_ROW) {
        if (rows.size() >= kGpuStackRowsMax) {
            return invalid_argument(fmt::format("its table {} has more than {} rows", table, kGpuStackRowsMax), "database");
        }
        GpuStackRow row;
        for (int i = 0; i < sqlite3_column_count(all.get()); ++i) {
            if (sqlite3_column_type(all.get(), i) == SQLITE_NULL) continue;
            const unsigned char* const text = sqlite3_column_text(all.get(), i);
            const int bytes = sqlite3_column_bytes(all.get(), i);
            if (text == nullptr || static_cast<size_t>(bytes) > kGpuStackTextMax) continue;
            row[sqlite3_column_name(all.get(), i)] = std::string(reinterpret_cast<const char*>(text), static_cast<size_t>(bytes));
        }
        if (!row.contains("deleted_at")) rows.push_back(std::move(row));
    }
    if (code != SQLITE_DONE) return unreadable(db);
    return Rows(std::move(rows));
}

Result<GpuStack> read_file(const std::string& path) {
    if (::access(path.c_str(), R_OK) != 0) return error_from_errno(fmt::format("{} cannot be read", path), errno);
    sqlite3* opened = nullptr;
    const int code = sqlite3_open_v2(path.c_str(), &opened, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, nullptr);
    const Handle db(opened);
    if (code != SQLITE_OK) return unreadable(db.get());
    sqlite3_db_config(db.get(), SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);   // it may hold views and triggers of anybody's
    return gpustack_of([&](const char* table) { return rows_of(db.get(), table); });
}

}  // namespace

Result<GpuStack> read_gpustack(const std::string& database) {
    const bool url = database.starts_with("postgresql://") || database.starts_with("postgres://");
    return url ? read_gpustack_of_postgresql(database) : read_file(database);
}

Result<GpuStack> gpustack_of(const GpuStackRows& rows_of) {
    GpuStack out;
    struct Table {
        const char* name;
        std::vector<GpuStackRow>* rows;
    };
    std::vector<GpuStackRow> keys, principals;
    for (const Table& table : {Table{"models", &out.models}, {"users", &out.users}, {"principals", &principals}, {"model_routes", &out.routes},
                               {"model_route_targets", &out.targets}, {"api_keys", &keys}}) {
        auto rows = rows_of(table.name);
        if (!rows) return rows.error();
        if (*rows) *table.rows = **std::move(rows);
        else if (table.rows == &out.models) return invalid_argument("it has no table \"models\": it is no database of GPUStack's", "database");
    }
    // Since its version 2.3 users are principals of a kind.
    for (GpuStackRow& row : principals) {
        if (row["kind"] != "USER" && row["kind"] != "user") continue;
        row["username"] = row["name"];
        out.users.push_back(std::move(row));
    }
    out.api_keys = keys.size();
    return out;
}

}  // namespace gantry::store
