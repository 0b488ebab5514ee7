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

// At once where it is known, else from the thread that compiles.
http::Task<Result<std::shared_ptr<const Grammar>>> grammar_for(Services& services,
                                                               const std::string& schema) {
    GrammarCompiler& grammars = *services.model->grammars;
    if (std::shared_ptr<const Grammar> known = grammars.find(schema)) {
        co_return known;
    }
    auto work = [&grammars, schema] { return grammars.compile(schema); };
    Result<std::shared_ptr<const Grammar>> compiled =
        co_await services.grammar_pool.run(std::move(work));
    co_return compiled;
}

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

std::string answering_name(const Services& services, const std::string& requested) {
    if (!services.model_name.empty()) {
        return services.model_name;
    }
    return requested.empty() ? services.listed_name : requested;
}

http::Task<void> plan_and_answer(http::Exchange& exchange, Services& services,
                                 Result<AnswerPlan> (*plan)(const std::string& body,
                                                            Services& services)) {
    if (std::optional<Error> error = not_ready(services)) {
        co_await respond_error(exchange, *error);
        co_return;
    }
    auto work = [body = std::move(exchange.request().body), &services, plan]() -> Result<AnswerPlan> {
        return plan(body, services);
    };
    Result<AnswerPlan> planned = co_await services.pool.run(std::move(work));
    if (!planned) {
        co_await respond_error(exchange, planned.error());
        co_return;
    }
    AnswerPlan ready = std::move(planned).value();
    if (!ready.schema.empty()) {
        Result<std::shared_ptr<const Grammar>> grammar = co_await grammar_for(services, ready.schema);
        if (!grammar) {
            co_await respond_error(exchange, grammar.error());
            co_return;
        }
        ready.grammar = *std::move(grammar);
    }
    co_await answer(exchange, services, std::move(ready));
}

}  // namespace gantry::engine_server
