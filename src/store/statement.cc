#include "store/statement.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "base/log.h"

namespace gantry::store {

Statement::~Statement() {
    if (statement_ == nullptr) return;
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
}

void Statement::note(int code) {
    if (code != SQLITE_OK && problem_) problem_ = db_->error(code);
}

void Statement::bind_integer(int64_t value) {
    if (statement_ != nullptr) note(sqlite3_bind_int64(statement_, next_parameter_++, value));
}

void Statement::bind_real(double value) {
    if (statement_ == nullptr) return;
    note(sqlite3_bind_double(statement_, next_parameter_++, std::isfinite(value) ? value : 0));
}

void Statement::bind_text(const std::string& value) {
    if (statement_ == nullptr) return;
    note(sqlite3_bind_text64(statement_, next_parameter_++, value.data(), value.size(), SQLITE_TRANSIENT, SQLITE_UTF8));
}

void Statement::bind_null() {
    if (statement_ != nullptr) note(sqlite3_bind_null(statement_, next_parameter_++));
}

Result<bool> Statement::step() {
    if (!problem_) return problem_.error();
    const int code = sqlite3_step(statement_);
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    return db_->error(sqlite3_extended_errcode(db_->handle_));
}

int64_t Statement::integer(int column) const { return sqlite3_column_int64(statement_, column); }
double Statement::real(int column) const { return sqlite3_column_double(statement_, column); }
bool Statement::null(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }
std::string Statement::text(int column) const {
    const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
    if (bytes == nullptr) return {};
    return std::string(bytes, static_cast<size_t>(sqlite3_column_bytes(statement_, column)));
}

namespace {

// What a connection is told before anything else. cell_size_check finds damage earlier; trusted_schema=OFF keeps a
// prepared file from running functions; temporary things never need a second disk.
Status configure(Connection& db, const Connection::Options& options) {
    GANTRY_TRY(db.script("PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY;"
                         "PRAGMA cache_size = -1024; PRAGMA foreign_keys = ON"));
    {
        Statement mode = db.query("PRAGMA journal_mode = WAL");
        auto row = mode.step();
        if (!row) return std::move(row).error();
        if (mode.text(0) != "wal") {
            return internal_error(fmt::format("{}: the file system of the data folder can't do write-ahead logging "
                                              "(shared memory is missing): put the data folder on a local disk.",
                                              db.file_name()));
        }
    }
    GANTRY_TRY(db.script("PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 4194304"));
    GANTRY_TRY(db.script(options.synchronous == Connection::Synchronous::kFull ? "PRAGMA synchronous = FULL"
                                                                               : "PRAGMA synchronous = NORMAL"));
    if (options.query_only) GANTRY_TRY(db.script("PRAGMA query_only = ON"));
    return Ok{};
}

}  // namespace

Result<std::unique_ptr<Connection>> Connection::open(const std::string& path, const Options& options) {
    sqlite3* handle = nullptr;
    // Never CREATE: a file that vanished while in use must not come back empty.
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    const int code = sqlite3_open_v2(path.c_str(), &handle, flags, options.vfs.empty() ? nullptr : options.vfs.c_str());
    // SQLite gives a handle back even where it failed, so that the error can be asked for.
    std::unique_ptr<Connection> db(new Connection(handle, std::filesystem::path(path).filename().string()));
    if (code != SQLITE_OK) return db->error(code);
    sqlite3_busy_timeout(handle, static_cast<int>(options.busy_timeout.count()));
    sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
    GANTRY_TRY(configure(*db, options));
    // After the pragma, which would put SQLite's own hook in its place.
    sqlite3_wal_hook(
        handle,
        [](void* self, sqlite3*, const char*, int pages) {
            static_cast<Connection*>(self)->wal_pages_ = pages;
            return SQLITE_OK;
        },
        db.get());
    return db;
}

Connection::~Connection() {
    for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
    if (const int code = sqlite3_close_v2(handle_); code != SQLITE_OK) {
        log::warn("{}: closing reported {}", file_name_, sqlite3_errstr(code));
    }
}

Statement Connection::prepare(const std::string& sql) {
    sqlite3_stmt*& cached = statements_[sql];
    if (cached == nullptr) {
        const int code = sqlite3_prepare_v3(handle_, sql.c_str(), static_cast<int>(sql.size()) + 1,
                                            SQLITE_PREPARE_PERSISTENT, &cached, nullptr);
        if (code != SQLITE_OK) return Statement(*this, nullptr, error(code));
    }
    GANTRY_ASSERT(sqlite3_stmt_busy(cached) == 0, "a statement is used twice at a time");
    return Statement(*this, cached, Ok{});
}

Result<int64_t> Connection::finish(Statement statement) {
    while (true) {
        auto row = statement.step();
        if (!row) return std::move(row).error();
        if (!*row) return static_cast<int64_t>(sqlite3_changes64(handle_));
    }
}

Status Connection::script(const std::string& sql) {
    const int code = sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) return error(sqlite3_extended_errcode(handle_));
    return Ok{};
}

Status Connection::checkpoint(bool truncate) {
    const int mode = truncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE;
    const int code = sqlite3_wal_checkpoint_v2(handle_, nullptr, mode, nullptr, nullptr);
    if (code != SQLITE_OK) return error(sqlite3_extended_errcode(handle_));
    wal_pages_ = 0;
    return Ok{};
}

bool Connection::in_transaction() const { return sqlite3_get_autocommit(handle_) == 0; }

namespace {

Error io_error(const std::string& file, int code, int system_error) {
    if ((code & 0xff) == SQLITE_FULL || system_error == ENOSPC || system_error == EDQUOT) {
        return {ErrorCode::kStorageFull,
                "the disk that holds the data folder is full, so this change was not made: free some space on it and try "
                "again (no restart is needed).",
                {},
                "disk_full"};
    }
    if (system_error == EMFILE || system_error == ENFILE) {
        return unavailable(fmt::format("{} can't be opened: too many open files. Raise the limit (ulimit -n).", file));
    }
    const char* why = system_error != 0 ? std::strerror(system_error) : sqlite3_errstr(code & 0xff);
    return {ErrorCode::kStorageFull,
            fmt::format("the disk that holds the data folder refuses {} ({}), so this change was not made: check that it "
                        "is mounted for writing, healthy, and that the folder belongs to the user gantry runs as.",
                        file, why),
            {},
            "disk_error"};
}

}  // namespace

Error Connection::error(int code) {
    const std::string text = sqlite3_errmsg(handle_);
    if (code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC) sync_failed_ = true;
    switch (code) {
        case SQLITE_CONSTRAINT_UNIQUE:
        case SQLITE_CONSTRAINT_PRIMARYKEY: {
            const size_t colon = text.rfind(": ");   // "UNIQUE constraint failed: models.name"
            return {ErrorCode::kConflict, "this exists already.", {}, colon == std::string::npos ? "" : text.substr(colon + 2)};
        }
        case SQLITE_CONSTRAINT_FOREIGNKEY:
            return {ErrorCode::kConflict, "something that belongs to this is missing or still there.", {}, "foreign_key"};
        default: break;
    }
    log::warn("{}: {} ({})", file_name_, text, code);
    switch (code & 0xff) {
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
            return unavailable(fmt::format("{} is locked by another program (a database browser, a copy): try again in a "
                                           "moment, and stop that program if this stays.",
                                           file_name_),
                               "database_locked");
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
            return internal_error(fmt::format("{} is damaged ({}). Stop gantry and bring back a backup with `gantry "
                                              "restore`; the damaged file is kept.",
                                              file_name_, sqlite3_errstr(code & 0xff)));
        case SQLITE_FULL:
        case SQLITE_IOERR:
        case SQLITE_READONLY:
        case SQLITE_CANTOPEN:
        case SQLITE_PERM: return io_error(file_name_, code, handle_ == nullptr ? 0 : sqlite3_system_errno(handle_));
        case SQLITE_TOOBIG: return Error{ErrorCode::kTooLarge, "a value is too large to be stored.", {}, {}};
        case SQLITE_NOMEM: return unavailable("not enough memory to use the database: try again.");
        default: break;
    }
    return internal_error(fmt::format("{} refused ({}); the log says more.", file_name_, sqlite3_errstr(code & 0xff)));
}

Transaction::~Transaction() {
    // Some errors (a full disk) have rolled back already.
    if (!db_.in_transaction()) return;
    if (auto rolled = db_.run("ROLLBACK"); !rolled) log::error("{}: a rollback failed", db_.file_name());
}

namespace {
// Through the cache of prepared statements: every call of the store runs these.
Status run_quietly(Connection& db, const char* sql) {
    if (auto done = db.run(sql); !done) return std::move(done).error();
    return Ok{};
}
}  // namespace

Status Transaction::begin() { return run_quietly(db_, "BEGIN IMMEDIATE"); }
Status Transaction::begin_read() { return run_quietly(db_, "BEGIN"); }
Status Transaction::commit() { return run_quietly(db_, "COMMIT"); }

}  // namespace gantry::store
