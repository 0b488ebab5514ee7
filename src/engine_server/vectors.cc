#include "engine_server/vectors.h"

#include <fmt/format.h>

#include <boost/asio/post.hpp>
#include <chrono>
#include <cmath>
#include <optional>

#include "engine_server/answer.h"
#include "engine_server/endpoints/endpoints.h"

namespace gantry::engine_server {
namespace {

constexpr std::chrono::milliseconds kLookAfter{10'000};

// A job while the embedder has it. Shared, because the handler and the embedder's callback may each
// be the one that ends last.
struct Call {
    explicit Call(http::asio::io_context& io) : changed(io) {}

    http::Signal changed;
    std::optional<Result<engine::Vectors>> outcome;  // written by the embedder's thread, before done
    bool done = false;
    bool stopping = false;
};

http::Task<Result<engine::Vectors>> compute(http::Exchange& exchange, Services& services,
                                            std::vector<std::vector<engine::TokenId>> inputs) {
    auto call = std::make_shared<Call>(services.io);
    engine::EmbeddingJob job;
    job.inputs = std::move(inputs);
    job.on_done = [call, &io = services.io](Result<engine::Vectors> outcome) {
        call->outcome = std::move(outcome);
        http::asio::post(io, [call] {
            call->done = true;
            call->changed.notify();
        });
    };
    const StopWatch watch(services.hub, [call] {
        call->stopping = true;
        call->changed.notify();
    });
    const Result<engine::EmbeddingJobId> id = services.model->embedder->submit(std::move(job));
    if (!id) {
        co_return id.error();
    }
    exchange.on_client_gone([call] { call->changed.notify(); });
    while (!call->done && !call->stopping && !exchange.client_gone()) {
        co_await call->changed.wait(kLookAfter);
    }
    if (call->done) {
        co_return std::move(*call->outcome);
    }
    services.model->embedder->cancel(*id);
    if (call->stopping) {
        co_return unavailable("the engine is stopping: send the request again", "engine_stopping");
    }
    co_return Error{ErrorCode::kCancelled, "the client left", {}, {}};
}

std::optional<Error> cannot_embed(const Services& services) {
    if (std::optional<Error> error = not_ready(services)) {
        return error;
    }
    if (services.model->transcriber) {
        return hears_only();
    }
    if (!services.model->embedder) {
        return wrong_kind_of_model(
            "this model generates text and makes no embeddings: choose an embedding model, or "
            "start this one with --pooling last");
    }
    return std::nullopt;
}

}  // namespace

http::Task<void> plan_and_embed(http::Exchange& exchange, Services& services,
                                Result<VectorPlan> (*plan)(const std::string& body,
                                                           Services& services)) {
    if (std::optional<Error> error = cannot_embed(services)) {
        co_await respond_error(exchange, *error);
        co_return;
    }
    auto parse = [body = std::move(exchange.request().body), &services,
                  plan]() -> Result<VectorPlan> { return plan(body, services); };
    Result<VectorPlan> planned = co_await services.pool.run(std::move(parse));
    if (!planned) {
        co_await respond_error(exchange, planned.error());
        co_return;
    }
    Result<engine::Vectors> vectors =
        co_await compute(exchange, services, std::move(planned->inputs));
    if (!vectors) {
        co_await respond_error(exchange, vectors.error());
        co_return;
    }
    auto write = [finish = std::move(planned->finish),
                  made = std::move(vectors).value()]() mutable -> Result<std::string> {
        return finish(std::move(made));
    };
    Result<std::string> body = co_await services.pool.run(std::move(write));
    if (!body) {
        co_await respond_error(exchange, body.error());
        co_return;
    }
    http::Response response = http::json_response(200, std::move(body).value());
    co_await exchange.respond(std::move(response));
}

Result<std::vector<engine::TokenId>> text_tokens(const LoadedModel& model, const std::string& text,
                                                 const std::string& param) {
    // No token stands for more than piece_bytes_max; the factor is for texts that the vocabulary
    // writes shorter.
    const size_t most =
        size_t{model.embedding.input_tokens} * model.tokenizer->piece_bytes_max() * 4;
    if (text.size() > most) {
        return invalid_argument(
            fmt::format("this model takes {} tokens an input, and '{}' has {} bytes, too many for "
                        "that: shorten or split it",
                        model.embedding.input_tokens, param, text.size()),
            param, "context_length_exceeded");
    }
    return model.tokenizer->tokenize(text, false);
}

Result<std::vector<engine::TokenId>> framed_text(const LoadedModel& model, const std::string& text,
                                                 const std::string& param) {
    Result<std::vector<engine::TokenId>> tokens = text_tokens(model, text, param);
    if (!tokens) {
        return tokens.error();
    }
    const TextFrame frame = model.tokenizer->frame();
    tokens->insert(tokens->begin(), frame.begin.begin(), frame.begin.end());
    tokens->insert(tokens->end(), frame.end.begin(), frame.end.end());
    if (tokens->size() > model.embedding.input_tokens) {
        return engine::input_too_long(tokens->size(), model.embedding.input_tokens, param);
    }
    if (tokens->empty()) {
        return invalid_argument(fmt::format("'{}' has no tokens in this model's vocabulary", param),
                                param);
    }
    return tokens;
}

uint64_t token_count(const std::vector<std::vector<engine::TokenId>>& inputs) {
    uint64_t count = 0;
    for (const auto& input : inputs) {
        count += input.size();
    }
    return count;
}

Status normalise(std::span<float> vector) {
    double squares = 0;
    for (const float number : vector) {
        squares += double{number} * number;
    }
    if (!std::isfinite(squares)) {
        Error error = internal_error("the model made a vector of what are no numbers");
        error.reason = "engine_error";
        return error;
    }
    const double length = std::sqrt(squares);
    for (float& number : vector) {
        number = length > 0 ? static_cast<float>(number / length) : 0;
    }
    return Ok{};
}

}  // namespace gantry::engine_server
