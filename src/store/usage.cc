// The table of usage records, in usage.db. The gateway's journal is the truth until a batch of it is in here, so batches may
// come twice: the request id decides.

#include "store/rows.h"
#include "store/sqlite_store.h"

namespace gantry::store {
namespace {

constexpr char kSelect[] =
    "SELECT request_id, at, user_id, key_id, model, instance_id, operation, status, aborted, estimated, prompt_tokens, "
    "cached_tokens, completion_tokens, reasoning_tokens, ttft_ms, duration_ms FROM usage_records";
constexpr ListSource kList{"usage record", kSelect, "at", "request_id", "instr(lower(model), lower(?3)) > 0",
                           " AND user_id = ?5"};

void read(Columns& columns, UsageRecord& u) {
    columns >> u.request_id >> u.at >> u.user_id >> u.key_id >> u.model >> u.instance_id >> u.operation >> u.status >>
        u.aborted >> u.estimated >> u.prompt_tokens >> u.cached_tokens >> u.completion_tokens >> u.reasoning_tokens >>
        u.ttft_ms >> u.duration_ms;
}

}  // namespace

Status SqliteStore::add_usage(const std::vector<UsageRecord>& records) {
    if (records.empty()) return Ok{};
    return usage_->write(Database::Synchronous::kNormal, [&](Connection& db) -> Status {
        for (const UsageRecord& u : records) {
            auto done = db.run(
                "INSERT INTO usage_records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (request_id) DO NOTHING",
                u.request_id, u.at, u.user_id, u.key_id, u.model, u.instance_id, u.operation, u.status, u.aborted,
                u.estimated, u.prompt_tokens, u.cached_tokens, u.completion_tokens, u.reasoning_tokens, u.ttft_ms,
                u.duration_ms);
            if (!done) return std::move(done).error();
        }
        return Ok{};
    });
}

Result<Page<UsageRecord>> SqliteStore::usage(const PageRequest& page, const UserId& of) {
    return usage_->read([&](Connection& db) {
        return read_page<UsageRecord>(db, kList, page, of.text, read,
                                      [](const UsageRecord& u) { return std::pair{u.at, u.request_id}; });
    });
}

}  // namespace gantry::store
