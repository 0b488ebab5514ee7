// The table of usage records, in usage.db. The gateway's journal is the truth until a batch of it is in here, so batches may
// come twice: time and request id decide, and only a record that was new is added to its hour (usage_hours.cc).

#include "store/rows.h"
#include "store/sqlite_store.h"
#include "store/usage_hours.h"

namespace gantry::store {
namespace {

// Of a transaction of deletions: small enough that a fold never waits long behind one.
constexpr int64_t kDeletedAtOnce = 2000;

constexpr char kSelect[] =
    "SELECT request_id, at, user_id, key_id, model, instance_id, operation, status, aborted, estimated, prompt_tokens, "
    "cached_tokens, completion_tokens, reasoning_tokens, ttft_ms, duration_ms, audio_ms, images FROM usage_records";
constexpr ListSource kList{"usage record", kSelect, "at", "request_id", "instr(lower(model), lower(?3)) > 0"};

void read(Columns& columns, UsageRecord& u) {
    columns >> u.request_id >> u.at >> u.user_id >> u.key_id >> u.model >> u.instance_id >> u.operation >> u.status >>
        u.aborted >> u.estimated >> u.prompt_tokens >> u.cached_tokens >> u.completion_tokens >> u.reasoning_tokens >>
        u.ttft_ms >> u.duration_ms >> u.audio_ms >> u.images;
}

// True: it is a new one.
Result<bool> insert(Connection& db, const UsageRecord& u) {
    auto added = db.run(
        "INSERT INTO usage_records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (at, request_id) DO NOTHING",
        u.request_id, u.at, u.user_id, u.key_id, u.model, u.instance_id, u.operation, u.status, u.aborted, u.estimated,
        u.prompt_tokens, u.cached_tokens, u.completion_tokens, u.reasoning_tokens, u.ttft_ms, u.duration_ms, u.audio_ms, u.images);
    if (!added) return std::move(added).error();
    return *added == 1;
}

}  // namespace

Status SqliteStore::add_usage(const std::vector<UsageRecord>& records) {
    if (records.empty()) return Ok{};
    return usage_->write(Database::Synchronous::kNormal, [&](Connection& db) -> Status {
        UsageHours hours;
        for (const UsageRecord& u : records) {
            const Result<bool> added = insert(db, u);
            if (!added) return added.error();
            if (*added) hours.add(u);
        }
        return hours.write(db);
    });
}

Result<Page<UsageRecord>> SqliteStore::usage(const PageRequest& page, const UsageFilter& filter) {
    ListFilters filters;
    // By itself, so that the index by user is used.
    filters.emplace_back(filter.user.empty() ? " AND ?5 = ''" : " AND user_id = ?5", filter.user.text);
    filters.emplace_back(" AND (?6 = '' OR key_id = ?6)", filter.key.text);
    filters.emplace_back(" AND (?7 = '' OR model = ?7)", filter.model);
    return usage_->read([&](Connection& db) {
        return read_filtered_page<UsageRecord>(db, kList, page, filters, read,
                                               [](const UsageRecord& u) { return std::pair{u.at, u.request_id}; });
    });
}

Result<std::vector<TokensUsed>> SqliteStore::tokens_used(WallTime from, WallTime before) {
    const WallTime first = span_start(from + std::chrono::milliseconds(kHourMs - 1), kHourMs);
    const WallTime last = std::max(first, span_start(before, kHourMs));
    return usage_->read([&](Connection& db) {
        return read_all<TokensUsed>(
            db,
            db.query("SELECT user_id, key_id, sum(tokens) FROM ("
                     "SELECT user_id, key_id, prompt_tokens + completion_tokens AS tokens FROM usage_hours WHERE hour >= ?1 AND hour < ?2 "
                     "UNION ALL SELECT user_id, key_id, prompt_tokens + completion_tokens FROM usage_records "
                     "WHERE (at >= ?3 AND at < min(?1, ?4)) OR (at >= ?2 AND at < ?4)) GROUP BY user_id, key_id",
                     first, last, from, before),
            "usage record", [](Columns& columns, TokensUsed& t) { columns >> t.user_id >> t.key_id >> t.tokens; });
    });
}

Result<uint64_t> SqliteStore::delete_usage_before(WallTime before) {
    uint64_t deleted = 0;
    for (int64_t last = kDeletedAtOnce; last == kDeletedAtOnce; deleted += static_cast<uint64_t>(last)) {
        const Status done = usage_->write(Database::Synchronous::kNormal, [&](Connection& db) -> Status {
            auto rows = db.run(
                "DELETE FROM usage_records WHERE (at, request_id) IN "
                "(SELECT at, request_id FROM usage_records WHERE at < ? ORDER BY at, request_id LIMIT ?)",
                before, kDeletedAtOnce);
            if (!rows) return std::move(rows).error();
            last = *rows;
            return Ok{};
        });
        if (!done) return done.error();
    }
    return deleted;
}

}  // namespace gantry::store
