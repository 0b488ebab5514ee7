// /api/v1/requests: what is being answered now, and ending it. Users see and cancel their own, admins all.
#include <fmt/format.h>

#include <boost/asio/post.hpp>
#include <charconv>
#include <future>

#include "base/log.h"
#include "control/api/api.h"
#include "control/api/name_finder.h"
#include "protocol/management/objects.h"

namespace gantry::control {
namespace {

using gateway::LiveRequests;

constexpr std::chrono::seconds kPatience{5};

// Runs `ask` on the io thread, where the list lives; a thread of the pool waits for what it gives. `ask` may run after that wait
// was given up, so that it owns what it uses.
template <class Ask>
auto on_io(ApiContext& api, Ask ask) -> Result<decltype(ask(std::declval<LiveRequests&>()))> {
    using Given = decltype(ask(std::declval<LiveRequests&>()));
    if (api.options.live == nullptr) return unavailable("this server answers no requests to models");
    auto given = std::make_shared<std::promise<Given>>();   // shared: whichever of the two goes last
    auto future = given->get_future();
    http::asio::post(api.io, [given, ask = std::move(ask), live = api.options.live]() mutable { given->set_value(ask(*live)); });
    if (future.wait_for(kPatience) != std::future_status::ready) return unavailable("the server is too busy to say, or is stopping; ask again");
    return future.get();
}

Result<LiveRequests::Filter> filter_of(const Call& call) {
    const auto page = page_request(call.request);
    if (!page) return page.error();
    LiveRequests::Filter filter;
    filter.limit = page->limit;
    filter.newest_first = page->descending;
    filter.model = call.request.query_value("model");
    if (!page->cursor.empty()) {
        const char* end = page->cursor.data() + page->cursor.size();
        const auto [read, error] = std::from_chars(page->cursor.data(), end, filter.beyond);
        if (error != std::errc{} || read != end || filter.beyond == 0) {
            return invalid_argument("\"cursor\" is none that this list gave: start again without it", "cursor");
        }
    }
    if (!call.admin()) filter.user = call.who->user_id;
    return filter;
}

Result<Answer> list(ApiContext& api, const Call& call) {
    const auto filter = filter_of(call);
    if (!filter) return filter.error();
    const auto page = on_io(api, [filter = *filter, now = api.clock.steady()](LiveRequests& live) { return live.list(filter, now); });
    if (!page) return page.error();
    const NameFinder finder(api);
    json::array items;
    for (const LiveRequest& request : page->items) {
        items.emplace_back(protocol::management::to_json(request, finder.names(request.user_id, request.key_id).key, call.admin()));
    }
    const json::value next = page->next == 0 ? json::value(nullptr) : json::value(std::to_string(page->next));
    return json_answer(200, json::object{{"items", std::move(items)}, {"next_cursor", next}});
}

// What the client of a cancelled request reads. One that everybody may read: it names nobody.
Error cancelled_by(bool other) {
    if (other) return {ErrorCode::kCancelled, "An administrator cancelled this request.", {}, "cancelled_by_admin"};
    return {ErrorCode::kCancelled, "This request was cancelled by its own user.", {}, "cancelled_by_user"};
}

Result<Answer> cancel(ApiContext& api, const Call& call) {
    const std::string id = call.param("id");
    const UserId me = call.who->user_id;
    const auto done = on_io(api, [id, me, admin = call.admin(), now = api.clock.steady()](LiveRequests& live) {
        auto own = live.cancel(id, me, cancelled_by(false), now);
        return own || !admin ? own : live.cancel(id, {}, cancelled_by(true), now);
    });
    if (!done) return done.error();
    if (!*done) return not_found(fmt::format("no request \"{}\" is being answered: it has ended, or never was", log::escape(id, 64)));
    log::info("request {} of {} cancelled by {}", id, (*done)->user_name, call.who->user_name);
    const NameFinder finder(api);
    return json_answer(200, protocol::management::to_json(**done, finder.names((*done)->user_id, (*done)->key_id).key, call.admin()));
}

}  // namespace

void add_request_routes(http::Router& router, ApiContext& api) {
    add_routes(router, api,
               {{"GET", "/api/v1/requests", gateway::kUser, list}, {"DELETE", "/api/v1/requests/{id}", gateway::kUser, cancel}});
}

}  // namespace gantry::control
