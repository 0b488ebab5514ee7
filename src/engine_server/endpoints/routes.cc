#include "engine_server/endpoints/endpoints.h"

namespace gantry::engine_server {
namespace {

using Endpoint = http::Task<void> (*)(http::Exchange&, Services&);

struct Line {
    const char* method;
    const char* pattern;
    const char* access;
    Endpoint endpoint;
};

constexpr Line kRoutes[] = {
    {"GET", "/health", kPublic, health},          {"GET", "/metrics", kKey, metrics},
    {"GET", "/v1/models", kKey, list_models},     {"GET", "/v1/models/{id...}", kKey, get_model},
    {"POST", "/v1/chat/completions", kKey, chat}, {"POST", "/v1/completions", kKey, completions},
    {"POST", "/tokenize", kKey, tokenize},        {"POST", "/detokenize", kKey, detokenize},
};

}  // namespace

void add_routes(http::Router& router, Services& services) {
    for (const Line& line : kRoutes) {
        const Endpoint endpoint = line.endpoint;
        router.add({line.method, line.pattern, line.access,
                    [endpoint, &services](http::Exchange& exchange) {
                        return endpoint(exchange, services);
                    }});
    }
}

}  // namespace gantry::engine_server
