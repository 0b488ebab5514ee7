#pragma once
// A small layer over SQLite's C interface: connections, cached prepared statements, bound parameters, transactions, and the
// one table from SQLite's error codes to ours. Values never become part of an SQL text: they are bound.
// Threads: a Connection and what comes from it belong to one thread at a time (database.h sees to it).

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <unordered_map>

#include "base/clock.h"
#include "base/ids.h"
#include "base/result.h"
#include "domain/deployment.h"
#include "domain/instance.h"
#include "domain/user.h"
#include "domain/worker.h"

struct sqlite3;
struct sqlite3_stmt;

namespace gantry::store {

class Connection;

// A prepared statement, lent by its connection's cache; reset and given back on destruction. One of each text at a time.
class Statement {
public:
    Statement(Connection& db, sqlite3_stmt* statement, Status problem)
        : db_(&db), statement_(statement), problem_(std::move(problem)) {}
    Statement(Statement&& other) noexcept
        : db_(other.db_), statement_(std::exchange(other.statement_, nullptr)), problem_(std::move(other.problem_)) {}
    Statement& operator=(Statement&&) = delete;
    ~Statement();

    // The next parameter, from 1 on. A failed bind shows at step().
    template <class T>
    Statement& bind(const T& value) {
        if constexpr (requires { value.has_value(); }) {
            value ? void(bind(*value)) : bind_null();
        } else if constexpr (std::is_same_v<T, WallTime>) {
            bind_integer(to_unix_ms(value));
        } else if constexpr (std::is_floating_point_v<T>) {
            bind_real(value);
        } else if constexpr (std::is_enum_v<T>) {
            bind_text(to_string(value));
        } else if constexpr (std::is_integral_v<T>) {
            bind_integer(static_cast<int64_t>(value));
        } else if constexpr (requires { value.text; }) {
            bind_text(value.text);
        } else {
            bind_text(value);
        }
        return *this;
    }
    void bind_integer(int64_t value);
    void bind_real(double value);    // what is not finite becomes 0
    void bind_text(const std::string& value);
    void bind_null();

    // True: a row is there. False: the end.
    Result<bool> step();

    // Columns of the row, from 0.
    int64_t integer(int column) const;
    double real(int column) const;
    std::string text(int column) const;
    bool null(int column) const;

private:
    void note(int code);

    Connection* db_;
    sqlite3_stmt* statement_;
    Status problem_;
    int next_parameter_ = 1;
};

// Reads a row's columns in order: `columns >> row.id >> row.name`. A value that does not fit its type (a damaged or foreign
// file) makes ok() false.
class Columns {
public:
    explicit Columns(const Statement& row) : row_(row) {}
    bool ok() const { return ok_; }
    void fail() { ok_ = false; }
    std::string text() { return row_.text(next_++); }

    Columns& operator>>(std::string& out) { out = text(); return *this; }
    Columns& operator>>(double& out) { out = row_.real(next_++); return *this; }
    Columns& operator>>(WallTime& out) { out = from_unix_ms(row_.integer(next_++)); return *this; }
    template <class T>
    Columns& operator>>(std::optional<T>& out) {
        out.reset();
        row_.null(next_) ? void(++next_) : void(*this >> out.emplace());
        return *this;
    }
    template <class Tag>
    Columns& operator>>(Id<Tag>& out) { out.text = text(); return *this; }
    template <class T>
        requires std::is_integral_v<T>
    Columns& operator>>(T& out) {
        const int64_t value = row_.integer(next_++);
        out = static_cast<T>(value);
        // 64-bit unsigned values (bytes) keep their bits; anything narrower must fit.
        if (sizeof(T) < sizeof(int64_t) && static_cast<int64_t>(out) != value) fail();
        return *this;
    }
    Columns& operator>>(BackendKind& out) { return take(out, backend_kind_from(text())); }
    Columns& operator>>(InstanceState& out) { return take(out, instance_state_from(text())); }
    Columns& operator>>(WorkerState& out) { return take(out, worker_state_from(text())); }
    Columns& operator>>(Role& out) { return take(out, role_from(text())); }

private:
    template <class T>
    Columns& take(T& out, const std::optional<T>& value) {
        value ? void(out = *value) : fail();
        return *this;
    }
    const Statement& row_;
    int next_ = 0;
    bool ok_ = true;
};

class Connection {
public:
    enum class Synchronous { kNormal, kFull };
    struct Options {
        std::chrono::milliseconds busy_timeout{5000};
        Synchronous synchronous = Synchronous::kFull;
        bool query_only = false;
        std::string vfs{};             // empty: the system's
    };
    // Opens an existing (perhaps empty) file in WAL mode, foreign keys on, checkpoints by hand (database.cc says why).
    static Result<std::unique_ptr<Connection>> open(const std::string& path, const Options& options);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    template <class... Values>
    Statement query(const std::string& sql, const Values&... values) {
        Statement statement = prepare(sql);
        (statement.bind(values), ...);
        return statement;
    }
    // Runs to the end; the number of rows changed.
    template <class... Values>
    Result<int64_t> run(const std::string& sql, const Values&... values) {
        return finish(query(sql, values...));
    }
    // Several statements of our own, without parameters (migrations, pragmas).
    Status script(const std::string& sql);

    // Moves what the WAL holds into the database file. `truncate`: all of it, waiting for readers, and empties the WAL.
    Status checkpoint(bool truncate);
    // Pages in the WAL after this connection's last commit.
    int wal_pages() const { return wal_pages_; }
    // True once after an fsync failed on this connection.
    bool take_sync_failure() { return std::exchange(sync_failed_, false); }
    bool in_transaction() const;

    const std::string& file_name() const { return file_name_; }    // without folders, for messages
    // Our error for SQLite's code; notes a failed fsync. kConflict of a unique column has "table.column" in `reason`, a
    // missing parent row has "foreign_key" there: each table's file turns them into words.
    Error error(int code);

private:
    friend class Statement;
    Connection(sqlite3* handle, std::string file_name) : handle_(handle), file_name_(std::move(file_name)) {}
    Statement prepare(const std::string& sql);
    Result<int64_t> finish(Statement statement);

    sqlite3* handle_;
    std::string file_name_;
    std::unordered_map<std::string, sqlite3_stmt*> statements_;
    int wal_pages_ = 0;
    bool sync_failed_ = false;
};

// Rolls back on destruction unless committed.
class Transaction {
public:
    explicit Transaction(Connection& db) : db_(db) {}
    ~Transaction();
    Status begin();              // of a writer: takes the write lock at once, so that it can't fail half-way as busy
    Status begin_read();         // one consistent view over several queries
    Status commit();

private:
    Connection& db_;
};

}  // namespace gantry::store
