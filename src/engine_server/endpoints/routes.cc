#include <atomic>
#include <memory>

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
    {"POST", "/v1/embeddings", kKey, embeddings}, {"POST", "/v1/rerank", kKey, rerank},
    {"POST", "/v1/audio/transcriptions", kKey, transcriptions},
    {"POST", "/v1/audio/translations", kKey, translations},
    {"POST", "/tokenize", kKey, tokenize},        {"POST", "/detokenize", kKey, detokenize},
};

Error client_left() { return {ErrorCode::kCancelled, "the client is gone", {}, {}}; }

// At once where it is known, else from the thread that compiles, which skips clients that gave up.
http::Task<Result<std::shared_ptr<const Grammar>>> grammar_for(
    Services& services, const std::string& schema, std::shared_ptr<const std::atomic<bool>> gone) {
    GrammarCompiler& grammars = *services.model->grammars;
    if (std::shared_ptr<const Grammar> known = grammars.find(schema)) {
        co_return known;
    }
    const Result<GrammarCompiler::Place> place = grammars.take_place();
    if (!place) {
        co_return place.error();
    }
    auto work = [&grammars, schema, gone]() -> Result<std::shared_ptr<const Grammar>> {
        return *gone ? client_left() : grammars.compile(schema);
    };
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

Error wrong_kind_of_model(const std::string& why) {
    return invalid_argument(why, "model", "unsupported_model_capability");
}

Error hears_only() {
    return wrong_kind_of_model(
        "this model makes text of speech only: send it recordings at /v1/audio/transcriptions");
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
    if (!services.model->engine) {
        Error error = wrong_kind_of_model(
            "this model makes embeddings and generates no text: ask it at /v1/embeddings or "
            "/v1/rerank, or choose another model");
        if (services.model->transcriber) {
            error = hears_only();
        }
        co_await respond_error(exchange, error);
        co_return;
    }
    // A client that gave up while its request waited for the pool costs nothing more. Shared, since
    // the pool's thread and the connection each may be the last to look.
    auto gone = std::make_shared<std::atomic<bool>>(exchange.client_gone());
    exchange.on_client_gone([gone] { *gone = true; });
    http::BlockingPool& pool = services.pool_for(exchange.request().body.size());
    auto work = [body = std::move(exchange.request().body), &services, plan,
                 gone]() -> Result<AnswerPlan> {
        return *gone ? client_left() : plan(body, services);
    };
    Result<AnswerPlan> planned = co_await pool.run(std::move(work));
    if (!planned) {
        co_await respond_error(exchange, planned.error());
        co_return;
    }
    AnswerPlan ready = std::move(planned).value();
    if (!ready.schema.empty()) {
        Result<std::shared_ptr<const Grammar>> grammar = co_await grammar_for(services, ready.schema, gone);
        if (!grammar) {
            co_await respond_error(exchange, grammar.error());
            co_return;
        }
        ready.grammar = *std::move(grammar);
    }
    co_await answer(exchange, services, std::move(ready));
}

}  // namespace gantry::engine_server
