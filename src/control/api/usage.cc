// /api/v1/usage and /api/v1/usage/summary: read-only; own records, an admin sees all. As JSON in pages, or whole as CSV.
#include <fmt/format.h>

#include <unordered_map>

#include "base/log.h"
#include "control/api/api.h"
#include "protocol/management/objects.h"

namespace gantry::control {
namespace {

namespace management = protocol::management;

// Names of the users and keys that there are now.
class NameFinder {
public:
    explicit NameFinder(const ApiContext& api) : table_(api.tables.auth()) {
        for (const auto& [public_id, key] : table_->keys) keys_.emplace(key.id.text, &key);
    }
    management::UsageNames names(const UserId& user, const ApiKeyId& key) const {
        const auto found_user = table_->users.find(user);
        const auto found_key = keys_.find(key.text);
        return {found_user == table_->users.end() ? "" : found_user->second.name,
                found_key == keys_.end() ? "" : found_key->second->name};
    }

private:
    std::shared_ptr<const gateway::AuthTable> table_;
    std::unordered_map<std::string, const ApiKey*> keys_;   // into table_
};

// user= (id or name), key= (id), model=. Who is no admin asks for the own, and gets the same answer for another's name as
// for nobody's.
Result<store::UsageFilter> usage_filter(const ApiContext& api, const Call& call) {
    store::UsageFilter filter;
    filter.key.text = call.request.query_value("key");
    filter.model = call.request.query_value("model");
    const std::string user(call.request.query_value("user"));
    if (!call.admin()) {
        if (!user.empty() && user != call.who->user_id.text && user != call.who->user_name) {
            return not_found(fmt::format("there is no user \"{}\"", log::escape(user, 128)));
        }
        filter.user = call.who->user_id;
        return filter;
    }
    filter.user.text = user;   // may be the id of one that is gone: its usage is not
    const auto table = api.tables.auth();
    if (table->users.contains(filter.user)) return filter;
    for (const auto& [id, known] : table->users) {
        if (known.name == user) filter.user = id;
    }
    return filter;
}

struct Records {
    store::PageRequest page;
    store::UsageFilter filter;
};
Result<Records> records_request(const ApiContext& api, const Call& call) {
    const auto page = timed_page_request(call.request);
    if (!page) return page.error();
    auto filter = usage_filter(api, call);
    if (!filter) return filter.error();
    return Records{*page, *std::move(filter)};
}

Result<Answer> list(ApiContext& api, const Call& call) {
    const auto wanted = records_request(api, call);
    if (!wanted) return wanted.error();
    const auto rows = api.store.usage(wanted->page, wanted->filter);
    if (!rows) return rows.error();
    const NameFinder finder(api);
    return list_answer(*rows, [&](const UsageRecord& r) { return management::to_json(r, finder.names(r.user_id, r.key_id)); });
}

Result<CsvSource> list_csv(ApiContext& api, const Call& call) {
    auto wanted = records_request(api, call);
    if (!wanted) return wanted.error();
    wanted->page.limit = kCsvRowsAtOnce;
    return csv_pages(
        management::usage_csv_header,
        [&api, wanted = *std::move(wanted)](const std::string& cursor) mutable {
            wanted.page.cursor = cursor;
            return api.store.usage(wanted.page, wanted.filter);
        },
        [finder = std::make_shared<const NameFinder>(api)](std::string& out, const UsageRecord& r) {  // shared: a function is copied
            management::add_csv(out, r, finder->names(r.user_id, r.key_id));
        });
}

Result<store::UsageBucket> bucket_of(const http::Request& request) {
    const std::string_view text = request.query_value("bucket");
    if (text == "hour") return store::UsageBucket::kHour;
    if (text.empty() || text == "day") return store::UsageBucket::kDay;
    if (text == "total") return store::UsageBucket::kTotal;
    return invalid_argument("\"bucket\" must be hour, day or total", "bucket");
}

Result<UsageGroups> groups_of(const http::Request& request) {
    UsageGroups by;
    std::string_view rest = request.query_value("group_by");
    while (!rest.empty()) {
        const size_t end = std::min(rest.find(','), rest.size());
        const std::string_view word = rest.substr(0, end);
        rest.remove_prefix(std::min(end + 1, rest.size()));
        bool* const flag = word == "user"        ? &by.user
                           : word == "key"       ? &by.key
                           : word == "model"     ? &by.model
                           : word == "instance"  ? &by.instance
                           : word == "operation" ? &by.operation
                                                 : nullptr;
        if (flag == nullptr) {
            return invalid_argument("\"group_by\" must be words of user, key, model, instance and operation, with commas between",
                                    "group_by");
        }
        *flag = true;
    }
    return by;
}

Result<store::UsageSummaryRequest> summary_request(const ApiContext& api, const Call& call) {
    const auto page = timed_page_request(call.request);
    if (!page) return page.error();
    const auto bucket = bucket_of(call.request);
    if (!bucket) return bucket.error();
    const auto by = groups_of(call.request);
    if (!by) return by.error();
    auto filter = usage_filter(api, call);
    if (!filter) return filter.error();
    return store::UsageSummaryRequest{.cursor = page->cursor,
                                      .limit = page->limit,
                                      .from = page->from,
                                      .to = page->to,
                                      .bucket = *bucket,
                                      .by = *by,
                                      .filter = *std::move(filter)};
}

Result<Answer> summary(ApiContext& api, const Call& call) {
    const auto request = summary_request(api, call);
    if (!request) return request.error();
    const auto rows = api.store.usage_summary(*request);
    if (!rows) return rows.error();
    const NameFinder finder(api);
    return list_answer(*rows, [&](const UsageSummary& s) { return management::to_json(s, request->by, finder.names(s.user_id, s.key_id)); });
}

Result<CsvSource> summary_csv(ApiContext& api, const Call& call) {
    auto request = summary_request(api, call);
    if (!request) return request.error();
    request->limit = kCsvRowsAtOnce;
    return csv_pages(
        management::usage_summary_csv_header,
        [&api, request = *std::move(request)](const std::string& cursor) mutable {
            request.cursor = cursor;
            return api.store.usage_summary(request);
        },
        [finder = std::make_shared<const NameFinder>(api)](std::string& out, const UsageSummary& s) {  // shared: a function is copied
            management::add_csv(out, s, finder->names(s.user_id, s.key_id));
        });
}

}  // namespace

void add_usage_routes(http::Router& router, ApiContext& api) {
    add_routes(router, api,
               {{"GET", "/api/v1/usage", gateway::kUser, list, false, list_csv},
                {"GET", "/api/v1/usage/summary", gateway::kUser, summary, false, summary_csv}});
}

}  // namespace gantry::control
