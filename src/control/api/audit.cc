// /api/v1/audit: who changed what; read-only, for admins. audit_recorder.cc writes it.
#include "control/api/api.h"
#include "protocol/management/objects.h"

namespace gantry::control {
namespace {

namespace management = protocol::management;

struct Wanted {
    store::PageRequest page;
    store::AuditFilter filter;
};
Result<Wanted> wanted_of(const Call& call) {
    const auto page = timed_page_request(call.request);
    if (!page) return page.error();
    Wanted wanted{*page, {}};
    wanted.filter.actor = call.request.query_value("actor");
    wanted.filter.kind = call.request.query_value("kind");
    wanted.filter.object = call.request.query_value("object");
    return wanted;
}

Result<Answer> list(ApiContext& api, const Call& call) {
    const auto wanted = wanted_of(call);
    if (!wanted) return wanted.error();
    const auto rows = api.store.audit(wanted->page, wanted->filter);
    if (!rows) return rows.error();
    return list_answer(*rows, [](const AuditEvent& e) { return management::to_json(e); });
}

Result<CsvSource> list_csv(ApiContext& api, const Call& call) {
    auto wanted = wanted_of(call);
    if (!wanted) return wanted.error();
    wanted->page.limit = kCsvRowsAtOnce;
    return csv_pages(
        management::audit_csv_header,
        [&api, wanted = *std::move(wanted)](const std::string& cursor) mutable {
            wanted.page.cursor = cursor;
            return api.store.audit(wanted.page, wanted.filter);
        },
        [](std::string& out, const AuditEvent& e) { management::add_csv(out, e); });
}

}  // namespace

void add_audit_routes(http::Router& router, ApiContext& api) {
    add_routes(router, api, {{"GET", "/api/v1/audit", gateway::kAdmin, list, false, list_csv}});
}

}  // namespace gantry::control
