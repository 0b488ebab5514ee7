// /api/v1/devices: what the workers' last reports had, in memory.
#include <algorithm>

#include "control/api/api.h"
#include "protocol/management/objects.h"

namespace gantry::control {
namespace {

struct Shown {
    std::string id;
    json::object object;
};

Result<Answer> list(ApiContext& api, const Call& call) {
    const auto page = page_request(call.request);
    if (!page) return page.error();
    const auto view = api.publisher.view();
    std::vector<Shown> all;
    for (Worker w : view->workers) {
        api.observed.overlay(w);
        for (const Device& d : w.devices) {
            if (d.name.find(page->name_contains) == std::string::npos) continue;
            json::object object = protocol::management::to_json(w.id, w.name, d);
            std::string id(object.at("id").as_string());
            all.push_back({std::move(id), std::move(object)});
        }
    }
    // Devices come and go with reports, so a page is cut by id: the cursor is the last one shown.
    const bool down = page->descending;
    std::sort(all.begin(), all.end(), [down](const Shown& a, const Shown& b) { return down ? a.id > b.id : a.id < b.id; });
    store::Page<json::object> out;
    for (Shown& one : all) {
        const bool after = page->cursor.empty() || (down ? one.id < page->cursor : one.id > page->cursor);
        if (!after) continue;
        if (out.items.size() == page->limit) {
            out.next_cursor = std::string(out.items.back().at("id").as_string());
            break;
        }
        out.items.push_back(std::move(one.object));
    }
    return list_answer(out, [](const json::object& object) { return object; });
}

}  // namespace

void add_device_routes(http::Router& router, ApiContext& api) {
    add_routes(router, api, {{"GET", "/api/v1/devices", gateway::kUser, list}});
}

}  // namespace gantry::control
