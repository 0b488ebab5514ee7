// /api/v1/usage: read-only; own records, an admin sees all.
#include "control/api/api.h"
#include "protocol/management/objects.h"

namespace gantry::control {
namespace {

// The store pages over all records. For a user its pages are filtered, several at a time, so that a page of the answer may
// be short but an empty one with a cursor is rare; the cursor always leads on.
constexpr int kPagesRead = 20;

Result<Answer> list(ApiContext& api, const Call& call) {
    auto page = page_request(call.request);
    if (!page) return page.error();
    const size_t limit = page->limit;
    store::Page<UsageRecord> out;
    for (int k = 0; k < (call.admin() ? 1 : kPagesRead); ++k) {
        auto rows = api.store.usage(*page);
        if (!rows) return rows.error();
        for (UsageRecord& record : rows->items) {
            if (call.admin() || record.user_id == call.who->user_id) out.items.push_back(std::move(record));
        }
        out.next_cursor = page->cursor = rows->next_cursor;
        if (page->cursor.empty() || out.items.size() >= limit) break;
        page->limit = static_cast<uint32_t>(limit - out.items.size());  // never over the limit, and nothing is skipped
    }
    return list_answer(out, [](const UsageRecord& r) { return protocol::management::to_json(r); });
}

}  // namespace

void add_usage_routes(http::Router& router, ApiContext& api) {
    add_routes(router, api, {{"GET", "/api/v1/usage", gateway::kUser, list}});
}

}  // namespace gantry::control
