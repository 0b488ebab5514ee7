#include <fmt/format.h>

#include "engine_server/endpoints/endpoints.h"
#include "speech/audio.h"
#include "protocol/openai/responses.h"

namespace gantry::engine_server {
namespace {

protocol::openai::ModelEntry entry(const Services& services) {
    protocol::openai::ModelEntry model;
    model.id = services.listed_name;
    model.created = to_unix_ms(services.started_at) / 1000;
    if (services.model) {
        model.meta["description"] = services.model->description;
        if (services.model->transcriber) {
            model.meta["recording_seconds"] = speech::kRecordingSecondsMax;
            return model;
        }
        if (services.model->embedder) {
            const engine::EmbeddingCapacity& embedding = services.model->embedding;
            model.meta["pooling"] = engine::to_string(embedding.pooling);
            model.meta["dimensions"] = embedding.dimensions;
            model.meta["input_tokens"] = embedding.input_tokens;
        } else {
            model.meta["context_tokens"] = services.model->capacity.context_tokens;
            model.meta["max_sequences"] = services.model->capacity.running > 0
                                             ? services.model->capacity.running
                                             : services.model->capacity.slots;
        }
        model.meta["vocabulary"] = services.model->tokenizer->size();
    }
    return model;
}

}  // namespace

http::Task<void> list_models(http::Exchange& exchange, Services& services) {
    std::vector<protocol::openai::ModelEntry> models;
    models.push_back(entry(services));
    http::Response response =
        http::json_response(200, json::serialize(protocol::openai::model_list(models)));
    co_await exchange.respond(std::move(response));
}

http::Task<void> get_model(http::Exchange& exchange, Services& services) {
    const std::string& id = exchange.request().params.at("id");
    if (id != services.listed_name) {
        const Error error =
            not_found(fmt::format("there is no model of that name here: this engine serves {}",
                                  services.listed_name),
                      "model_not_found");
        co_await respond_error(exchange, error);
        co_return;
    }
    http::Response response =
        http::json_response(200, json::serialize(protocol::openai::model_object(entry(services))));
    co_await exchange.respond(std::move(response));
}

}  // namespace gantry::engine_server
