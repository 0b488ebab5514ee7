// /api/v1/openapi.json: the file beside this one, embedded at build. A test holds it against the routes and the objects.
#include "control/api/api.h"

namespace gantry::control {
namespace {

http::Task<void> show(http::Exchange& exchange) {
    http::Response response = http::json_response(200, std::string(openapi_json()));
    response.headers.set("cache-control", "no-cache");
    response.headers.set("x-content-type-options", "nosniff");
    co_await exchange.respond(std::move(response));
}

}  // namespace

void add_openapi_route(http::Router& router, ApiContext&) {
    router.add({"GET", "/api/v1/openapi.json", gateway::kUser, [](http::Exchange& exchange) { return show(exchange); }});
}

}  // namespace gantry::control
