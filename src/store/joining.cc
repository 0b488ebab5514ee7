// The tables of join tokens and memberships: how machines become workers, and their leases.

#include <fmt/format.h>

#include "store/rows.h"
#include "store/sqlite_store.h"
#include "store/tables.h"

namespace gantry::store {
namespace {

constexpr char kSelect[] = "SELECT id, name, secret_digest, uses, uses_left, revoked, created_at, expires_at FROM join_tokens";
constexpr char kSelectMembership[] =
    "SELECT worker_id, token_id, key_digest, machine_id, address, epoch, joined_at FROM memberships";
constexpr ListSource kList{"join token", kSelect, "created_at", "id", "instr(lower(name), lower(?3)) > 0"};

void read(Columns& columns, JoinToken& t) {
    columns >> t.id >> t.name >> t.secret_digest >> t.uses >> t.uses_left >> t.revoked >> t.created_at >> t.expires_at;
}
void read_membership(Columns& columns, Membership& m) {
    columns >> m.worker_id >> m.token_id >> m.key_digest >> m.machine_id >> m.address >> m.epoch >> m.joined_at;
}

Result<JoinToken> find(Connection& db, const JoinTokenId& id) {
    return read_one<JoinToken>(db, db.query(fmt::format("{} WHERE id = ?", kSelect), id), "join token", id.text, read);
}

// The worker that this very key made of the same token.
Result<std::optional<WorkerId>> joined_before(Connection& db, const Membership& m) {
    Statement statement =
        db.query("SELECT worker_id FROM memberships WHERE key_digest = ? AND token_id = ?", m.key_digest, m.token_id);
    auto row = statement.step();
    if (!row) return std::move(row).error();
    return *row ? std::optional(WorkerId(statement.text(0))) : std::nullopt;
}

Status take_use(Connection& db, const JoinTokenId& id, WallTime now) {
    const auto token = find(db, id);
    if (!token) return token.error();
    const std::string state = state_of(*token, now);
    if (state != "usable") {
        return Error{ErrorCode::kPermissionDenied,
                     fmt::format("the join token is {}: make another with `gantry workers token create`.",
                                 state == "used" ? "used up" : state),
                     {},
                     "join_token_" + state};
    }
    auto taken = db.run("UPDATE join_tokens SET uses_left = uses_left - 1 WHERE id = ?", id);
    return one_row(taken, "join token", id.text);
}

}  // namespace

Status SqliteStore::create_join_token(const JoinToken& token) {
    const JoinToken& t = token;
    return change([&](Connection& db) -> Status {
        auto done = db.run("INSERT INTO join_tokens VALUES (?, ?, ?, ?, ?, ?, ?, ?)", t.id, t.name, t.secret_digest, t.uses,
                           t.uses_left, t.revoked, t.created_at, t.expires_at);
        if (!done) {
            return explain(std::move(done).error(), {{"join_tokens.id", ErrorCode::kConflict, "a token of this id exists: make it anew."}});
        }
        return Ok{};
    });
}

Status SqliteStore::revoke_join_token(const JoinTokenId& id) {
    return change([&](Connection& db) -> Status {
        auto changed = db.run("UPDATE join_tokens SET revoked = 1 WHERE id = ?", id);
        return one_row(changed, "join token", id.text);
    });
}

Status SqliteStore::delete_join_tokens_before(WallTime expired) {
    return change([&](Connection& db) -> Status {
        auto done = db.run("DELETE FROM join_tokens WHERE expires_at < ?", expired);
        if (!done) return std::move(done).error();
        return Ok{};
    });
}

Result<JoinToken> SqliteStore::join_token(const JoinTokenId& id) {
    return control_->read([&](Connection& db) { return find(db, id); });
}

Result<Page<JoinToken>> SqliteStore::join_tokens(const PageRequest& page) {
    return control_->read([&](Connection& db) {
        return read_page<JoinToken>(db, kList, page, {}, read, [](const JoinToken& t) { return std::pair{t.created_at, t.id.text}; });
    });
}

Result<WorkerId> SqliteStore::join_worker(const Worker& worker, const Membership& membership) {
    const Membership& m = membership;
    WorkerId joined = worker.id;
    const Status done = change([&](Connection& db) -> Status {
        const auto before = joined_before(db, m);
        if (!before) return before.error();
        if (*before) {
            joined = **before;
            return Ok{};
        }
        GANTRY_TRY(take_use(db, m.token_id, m.joined_at));
        GANTRY_TRY(insert_worker(db, worker));
        auto made = db.run("INSERT INTO memberships VALUES (?, ?, ?, ?, ?, ?, ?)", worker.id, m.token_id, m.key_digest, m.machine_id,
                           m.address, m.epoch, m.joined_at);
        if (!made) {
            return explain(std::move(made).error(),
                           {{"memberships.key_digest", ErrorCode::kConflict,
                             "a worker with this key joined before, with another token: its data folder is that worker's."}});
        }
        return Ok{};
    });
    if (!done) return done.error();
    return joined;
}

Status SqliteStore::observe_membership(const Membership& membership) {
    const Membership& m = membership;
    return change([&](Connection& db) -> Status {
        auto changed = db.run("UPDATE memberships SET machine_id = ?, address = ? WHERE worker_id = ?", m.machine_id, m.address, m.worker_id);
        return one_row(changed, "worker", m.worker_id.text);
    });
}

Result<int64_t> SqliteStore::end_lease(const WorkerId& id, WallTime now) {
    int64_t epoch = 0;
    const Status done = change([&](Connection& db) -> Status {
        auto ended = db.run("UPDATE memberships SET epoch = epoch + 1 WHERE worker_id = ?", id);
        GANTRY_TRY(one_row(ended, "worker", id.text));
        auto marked = db.run(
            "UPDATE instances SET state_since = ?, stopping = 1, "
            "state = CASE state WHEN 'error' THEN state WHEN 'unreachable' THEN state ELSE 'stopping' END "
            "WHERE stopping = 0 AND (worker_id = ? OR instr(placement, ?) > 0)",   // it leads, or runs a part
            now, id, "\"" + id.text + "\"");
        if (!marked) return std::move(marked).error();
        Statement statement = db.query("SELECT epoch FROM memberships WHERE worker_id = ?", id);
        auto row = statement.step();
        if (!row) return std::move(row).error();
        epoch = statement.integer(0);
        return Ok{};
    });
    if (!done) return done.error();
    return epoch;
}

Result<std::vector<Membership>> all_memberships(Connection& db) {
    return read_all<Membership>(db, db.query(std::string(kSelectMembership) + " ORDER BY worker_id"), "membership", read_membership);
}

}  // namespace gantry::store
