// The table of console logins: digests only. Ending a session that is gone already is fine: logout may be repeated.

#include "store/rows.h"
#include "store/sqlite_store.h"
#include "store/tables.h"

namespace gantry::store {
namespace {

void read(Columns& columns, Session& s) { columns >> s.token_digest >> s.user_id >> s.created_at >> s.expires_at; }

}  // namespace

Status SqliteStore::create_session(const Session& session) {
    const Session& s = session;
    return change([&](Connection& db) -> Status {
        auto done = db.run("INSERT INTO sessions VALUES (?, ?, ?, ?)", s.token_digest, s.user_id, s.created_at, s.expires_at);
        if (!done) {
            return explain(std::move(done).error(),
                           {{"foreign_key", ErrorCode::kNotFound, no_such("user", s.user_id.text).message}});
        }
        return Ok{};
    });
}

Status SqliteStore::delete_session(const std::string& token_digest) {
    return change([&](Connection& db) -> Status {
        auto done = db.run("DELETE FROM sessions WHERE token_digest = ?", token_digest);
        if (!done) return std::move(done).error();
        return Ok{};
    });
}

Status SqliteStore::delete_sessions_of(const UserId& user) {
    return change([&](Connection& db) -> Status {
        auto done = db.run("DELETE FROM sessions WHERE user_id = ?", user);
        if (!done) return std::move(done).error();
        return Ok{};
    });
}

Status SqliteStore::delete_sessions_before(WallTime now) {
    return change([&](Connection& db) -> Status {
        auto done = db.run("DELETE FROM sessions WHERE expires_at <= ?", now);
        if (!done) return std::move(done).error();
        return Ok{};
    });
}

Result<std::vector<Session>> all_sessions(Connection& db) {
    return read_all<Session>(db, db.query("SELECT token_digest, user_id, created_at, expires_at FROM sessions"), "session",
                             read);
}

}  // namespace gantry::store
