// The table of API keys: digests only, the secret is never here.

#include <fmt/format.h>

#include "store/json_columns.h"
#include "store/rows.h"
#include "store/sqlite_store.h"
#include "store/tables.h"

namespace gantry::store {
namespace {

constexpr char kSelect[] =
    "SELECT id, user_id, name, public_id, secret_digest, expires_at, disabled, version, created_at, limits, models, scopes "
    "FROM keys";
constexpr ListSource kList{"key", kSelect, "created_at", "id", "instr(lower(name), lower(?3)) > 0", " AND user_id = ?5"};

std::string to_text(const Scopes& scopes) {
    if (scopes.all()) return "inference management";
    return scopes.inference ? "inference" : scopes.management ? "management" : "";
}

// A word of a newer gantry opens nothing here.
Scopes scopes_from(const std::string& text) {
    const auto has = [padded = " " + text + " "](const char* word) { return padded.find(word) != std::string::npos; };
    return {.inference = has(" inference "), .management = has(" management ")};
}

void read(Columns& columns, ApiKey& k) {
    columns >> k.id >> k.user_id >> k.name >> k.public_id >> k.secret_digest >> k.expires_at >> k.disabled >> k.version >>
        k.created_at >> k.limits >> k.models;
    k.scopes = scopes_from(columns.text());
}

}  // namespace

Status SqliteStore::create_key(const ApiKey& key) {
    const ApiKey& k = key;
    const auto use = use_texts(k);
    if (!use) return use.error();
    return change([&](Connection& db) -> Status {
        auto done = db.run("INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", k.id, k.user_id, k.name, k.public_id,
                           k.secret_digest, k.expires_at, k.disabled, k.version, k.created_at, use->limits, use->models,
                           to_text(k.scopes));
        if (!done) {
            return explain(std::move(done).error(),
                           {{"foreign_key", ErrorCode::kNotFound, no_such("user", k.user_id.text).message},
                            {"keys.public_id", ErrorCode::kConflict, "a key with this public id exists: make it anew."}});
        }
        return Ok{};
    });
}

Status SqliteStore::update_key(const ApiKey& key, int64_t expected_version) {
    const ApiKey& k = key;
    const auto use = use_texts(k);
    if (!use) return use.error();
    return change([&](Connection& db) -> Status {
        auto changed = db.run(
            "UPDATE keys SET name = ?, expires_at = ?, disabled = ?, limits = ?, models = ?, scopes = ?, version = ? "
            "WHERE id = ? AND version = ?",
            k.name, k.expires_at, k.disabled, use->limits, use->models, to_text(k.scopes), k.version, k.id, expected_version);
        if (!changed) return std::move(changed).error();
        if (*changed == 1) return Ok{};
        return missing_or_stale(db, "SELECT version FROM keys WHERE id = ?", "key", k.id.text, expected_version);
    });
}

Status SqliteStore::delete_key(const ApiKeyId& id) {
    return change([&](Connection& db) -> Status {
        auto deleted = db.run("DELETE FROM keys WHERE id = ?", id);
        return one_row(deleted, "key", id.text);
    });
}

Result<ApiKey> SqliteStore::key(const ApiKeyId& id) {
    return control_->read([&](Connection& db) {
        return read_one<ApiKey>(db, db.query(std::string(kSelect) + " WHERE id = ?", id), "key", id.text, read);
    });
}

Result<Page<ApiKey>> SqliteStore::keys(const PageRequest& page, const UserId& of) {
    return control_->read([&](Connection& db) {
        return read_page<ApiKey>(db, kList, page, of.text, read,
                                 [](const ApiKey& k) { return std::pair{k.created_at, k.id.text}; });
    });
}

Result<std::vector<ApiKey>> all_keys(Connection& db) {
    return read_all<ApiKey>(db, db.query(std::string(kSelect) + " ORDER BY created_at, id"), "key", read);
}

}  // namespace gantry::store
