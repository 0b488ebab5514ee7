// /api/v1/devices: what the workers' last reports had, in memory; /api/v1/workers/{id}/devices/history: what they had before.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "control/api/api.h"
#include "control/api/lookup.h"
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

constexpr int64_t kStepsMax = 1500;        // in one answer, of each device
constexpr int64_t kStepsUnasked = 750;     // where the step is ours to choose
constexpr int64_t kLongestStep = 86'400;   // seconds

// Seconds: what was asked for, or the finest that needs no more than kStepsUnasked.
Result<std::chrono::minutes> step_of(const http::Request& request, std::chrono::milliseconds span) {
    const auto steps = [&](std::chrono::seconds step) { return (span + step - std::chrono::milliseconds(1)) / step; };
    const std::string_view text = request.query_value("step");
    if (text.empty()) {
        for (const auto step : {std::chrono::minutes(1), std::chrono::minutes(5), std::chrono::minutes(15)}) {
            if (steps(step) <= kStepsUnasked) return step;
        }
        return std::chrono::minutes(60);
    }
    int64_t seconds = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (error != std::errc{} || end != text.data() + text.size() || seconds < 60 || seconds > kLongestStep || seconds % 60 != 0) {
        return invalid_argument(fmt::format("\"step\" must be whole minutes, as seconds from 60 to {}", kLongestStep), "step");
    }
    if (steps(std::chrono::seconds(seconds)) > kStepsMax) {
        return invalid_argument(fmt::format("\"step\" is too short for this time: it would be over {} steps", kStepsMax), "step");
    }
    return std::chrono::minutes(seconds / 60);
}

Result<Answer> history(ApiContext& api, const Call& call) {
    const auto times = timed_page_request(call.request);
    if (!times) return times.error();
    const WallTime now = api.clock.wall();
    const WallTime to = std::min(times->to.value_or(now), now);
    const WallTime from = std::max(times->from.value_or(to - std::chrono::hours(1)), now - store::kDeviceHistoryKept);
    if (from >= to) {
        return invalid_argument(fmt::format("\"from\" must be before \"to\", before now, and \"to\" within the last {} days",
                                            store::kDeviceHistoryKept.count()), "from");
    }
    const auto step = step_of(call.request, to - from);
    if (!step) return step.error();
    const auto worker = find_worker(api, call.param("id"));
    if (!worker) return worker.error();
    const auto courses = api.history.read(worker->id, from, to, *step);
    if (!courses) return courses.error();
    return json_answer(200, protocol::management::to_json(*courses, *worker, to));
}

}  // namespace

void add_device_routes(http::Router& router, ApiContext& api) {
    add_routes(router, api,
               {{"GET", "/api/v1/devices", gateway::kUser, list},
                {"GET", "/api/v1/workers/{id}/devices/history", gateway::kUser, history}});
}

}  // namespace gantry::control
