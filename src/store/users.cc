// The table of users, and the rule that an enabled admin always remains.

#include <fmt/format.h>

#include "store/json_columns.h"
#include "store/rows.h"
#include "store/sqlite_store.h"
#include "store/tables.h"

namespace gantry::store {
namespace {

constexpr char kSelect[] =
    "SELECT id, name, role, password_hash, must_change_password, disabled, version, created_at, updated_at, limits, models "
    "FROM users";
constexpr ListSource kList{"user", kSelect, "created_at", "id", "instr(lower(name), lower(?3)) > 0"};

void read(Columns& columns, User& u) {
    columns >> u.id >> u.name >> u.role >> u.password_hash >> u.must_change_password >> u.disabled >> u.version >>
        u.created_at >> u.updated_at >> u.limits >> u.models;
}

Error explain_name(Error error, const User& user) {
    return explain(std::move(error),
                   {{"users.name", ErrorCode::kConflict,
                     fmt::format("there is a user named '{}' already: choose another name.", user.name), "name"}});
}

Status insert(Connection& db, const User& u) {
    const auto use = use_texts(u);
    if (!use) return use.error();
    auto done = db.run("INSERT INTO users VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", u.id, u.name, u.role, u.password_hash,
                       u.must_change_password, u.disabled, u.version, u.created_at, u.updated_at, use->limits, use->models);
    if (!done) return explain_name(std::move(done).error(), u);
    return Ok{};
}

Result<int64_t> enabled_admins(Connection& db) {
    Statement count = db.query("SELECT count(*) FROM users WHERE role = 'admin' AND disabled = 0");
    auto row = count.step();
    if (!row) return std::move(row).error();
    return count.integer(0);
}

// Runs a change and refuses it (the transaction rolls back) where it took the last enabled admin.
Status keeping_an_admin(Connection& db, const std::function<Status()>& change) {
    auto before = enabled_admins(db);
    if (!before) return std::move(before).error();
    GANTRY_TRY(change());
    auto after = enabled_admins(db);
    if (!after) return std::move(after).error();
    if (*before > 0 && *after == 0) {
        return Error{ErrorCode::kConflict,
                     "this is the last admin who can log in: make another user an admin first.", {}, "last_admin"};
    }
    return Ok{};
}

}  // namespace

Status SqliteStore::create_user(const User& user) {
    return change([&](Connection& db) { return insert(db, user); });
}

Status SqliteStore::create_user(const User& user, const Identity& identity) {
    return change([&](Connection& db) -> Status {
        GANTRY_TRY(insert(db, user));
        auto done = db.run("INSERT INTO identities VALUES (?, ?, ?, ?)", identity.issuer, identity.subject, user.id, user.created_at);
        if (done) return Ok{};
        return explain(std::move(done).error(),
                       {{"identities.issuer, identities.subject", ErrorCode::kConflict,
                         "this identity has a user already: log in again.", "identity"}});
    });
}

Result<User> SqliteStore::user_by_identity(const Identity& identity) {
    return control_->read([&](Connection& db) {
        return read_one<User>(db, db.query(std::string(kSelect) + " WHERE id = (SELECT user_id FROM identities WHERE issuer = ? AND "
                                                                  "subject = ?)", identity.issuer, identity.subject),
                              "user", identity.subject, read);
    });
}

Status SqliteStore::update_user(const User& user, int64_t expected_version) {
    const User& u = user;
    const auto use = use_texts(u);
    if (!use) return use.error();
    return change([&](Connection& db) {
        return keeping_an_admin(db, [&]() -> Status {
            auto changed = db.run(
                "UPDATE users SET name = ?, role = ?, password_hash = ?, must_change_password = ?, disabled = ?, "
                "limits = ?, models = ?, version = ?, updated_at = ? WHERE id = ? AND version = ?",
                u.name, u.role, u.password_hash, u.must_change_password, u.disabled, use->limits, use->models, u.version, u.updated_at,
                u.id, expected_version);
            if (!changed) return explain_name(std::move(changed).error(), u);
            if (*changed == 1) return Ok{};
            return missing_or_stale(db, "SELECT version FROM users WHERE id = ?", "user", u.id.text, expected_version);
        });
    });
}

Status SqliteStore::delete_user(const UserId& id) {
    return change([&](Connection& db) {
        return keeping_an_admin(db, [&]() -> Status {
            // Keys and sessions go with it (ON DELETE CASCADE).
            auto deleted = db.run("DELETE FROM users WHERE id = ?", id);
            return one_row(deleted, "user", id.text);
        });
    });
}

Result<User> SqliteStore::user(const UserId& id) {
    return control_->read([&](Connection& db) {
        return read_one<User>(db, db.query(std::string(kSelect) + " WHERE id = ?", id), "user", id.text, read);
    });
}

Result<User> SqliteStore::user_by_name(const std::string& name) {
    return control_->read([&](Connection& db) {
        return read_one<User>(db, db.query(std::string(kSelect) + " WHERE name = ?", name), "user", name, read);
    });
}

Result<Page<User>> SqliteStore::users(const PageRequest& page) {
    return control_->read([&](Connection& db) {
        return read_page<User>(db, kList, page, {}, read, [](const User& u) { return std::pair{u.created_at, u.id.text}; });
    });
}

Result<std::vector<User>> all_users(Connection& db) {
    return read_all<User>(db, db.query(std::string(kSelect) + " ORDER BY created_at, id"), "user", read);
}

}  // namespace gantry::store
