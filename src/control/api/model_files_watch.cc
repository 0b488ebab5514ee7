// GET /api/v1/model-files/watch: the list of model files now, and again whenever it has changed. The files have no objects in the
// watch stream, since workers are asked for theirs, and they change several times a second while they are fetched.
#include <fmt/format.h>

#include "control/api/model_files.h"

namespace gantry::control {
namespace {

constexpr std::chrono::milliseconds kLookEvery{500};
constexpr std::chrono::milliseconds kPingEvery{15'000};

http::Task<void> stream(ApiContext& api, http::Exchange& exchange, http::Signal& gone) {
    WatchedModelFiles files(api);
    std::string last;
    std::chrono::milliseconds idle{0};
    while (!exchange.client_gone() && !api.stopping && still_allowed(api, exchange)) {
        std::string now = co_await api.pool.run([&files] { return files.text(); });
        if (now != last) {
            const std::string event = http::sse_event(now, "files");
            const bool written = co_await exchange.write(event);
            if (!written) co_return;
            last = std::move(now);
            idle = {};
        } else if (idle >= kPingEvery) {
            const bool pinged = co_await exchange.write(http::kSsePing);
            if (!pinged) co_return;
            idle = {};
        }
        co_await gone.wait(kLookEvery);
        idle += kLookEvery;
    }
    co_await exchange.finish();
}

http::Task<void> watch(ApiContext& api, http::Exchange& exchange) {
    if (api.options.model_files == nullptr) {
        http::Response response = to_response(error_answer(unavailable("this server keeps no model files")));
        co_await exchange.respond(std::move(response));
        co_return;
    }
    http::Signal gone(api.io);
    exchange.on_client_gone([&gone] { gone.notify(); });
    http::Headers headers{{"content-type", "text/event-stream"}, {"cache-control", "no-store"}};
    const bool began = co_await exchange.start_stream(200, std::move(headers));
    if (began) co_await stream(api, exchange, gone);
    exchange.on_client_gone({});
}

}  // namespace

void add_model_file_watch_route(http::Router& router, ApiContext& api) {
    router.add({"GET", "/api/v1/model-files/watch", gateway::kAdmin,
                [&api](http::Exchange& exchange) { return watch(api, exchange); }});
}

}  // namespace gantry::control
