// Answers that are given again. Bounded by age and number: whoever repeats a request does so soon.

#include "store/rows.h"
#include "store/sqlite_store.h"

namespace gantry::store {

Status SqliteStore::keep_answer(const KeptAnswer& answer, WallTime forget_before) {
    const KeptAnswer& a = answer;
    return change([&](Connection& db) -> Status {
        if (auto old = db.run("DELETE FROM kept_answers WHERE at < ?", forget_before); !old) return std::move(old).error();
        auto done = db.run("INSERT INTO kept_answers VALUES (?, ?, ?, ?)", a.key, a.request, a.answer, a.at);
        if (!done) {
            return explain(std::move(done).error(),
                           {{"kept_answers.key", ErrorCode::kConflict, "a request with this key has been answered meanwhile"}});
        }
        auto many = db.run("DELETE FROM kept_answers WHERE key IN (SELECT key FROM kept_answers ORDER BY at DESC LIMIT -1 OFFSET ?)",
                           kKeptAnswersMax);
        if (!many) return std::move(many).error();
        return Ok{};
    });
}

Result<std::optional<KeptAnswer>> SqliteStore::kept_answer(const std::string& key) {
    return control_->read([&](Connection& db) -> Result<std::optional<KeptAnswer>> {
        Statement found = db.query("SELECT key, request, answer, at FROM kept_answers WHERE key = ?", key);
        auto row = found.step();
        if (!row) return std::move(row).error();
        if (!*row) return std::optional<KeptAnswer>();
        KeptAnswer a;
        Columns(found) >> a.key >> a.request >> a.answer >> a.at;
        return std::optional(std::move(a));
    });
}

}  // namespace gantry::store
