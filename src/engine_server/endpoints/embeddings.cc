#include "protocol/openai/embeddings.h"

#include <fmt/format.h>

#include "engine_server/endpoints/endpoints.h"
#include "engine_server/vectors.h"

namespace gantry::engine_server {
namespace {

using protocol::openai::EmbeddingsRequest;
using protocol::openai::Prompt;

// Of one answer: who reads it, our gateway first, bounds the values of a document. In base64 a vector is one.
constexpr uint64_t kNumbersMax = 900'000;
constexpr uint64_t kBase64NumbersMax = 4u << 20;

// A text gets what the model wants around it; token ids are taken as they are.
Result<std::vector<engine::TokenId>> tokens_of(const Prompt& input, const LoadedModel& model,
                                               const std::string& param) {
    if (const auto* text = std::get_if<std::string>(&input)) {
        return framed_text(model, *text, param);
    }
    const auto& ids = std::get<std::vector<int32_t>>(input);
    for (const int32_t id : ids) {
        if (static_cast<uint32_t>(id) >= model.embedding.vocabulary) {
            return invalid_argument(
                fmt::format("'{}' holds token {}, and this model's tokens are 0 to {}", param, id,
                            model.embedding.vocabulary - 1),
                param);
        }
    }
    if (ids.size() > model.embedding.input_tokens) {
        return engine::input_too_long(ids.size(), model.embedding.input_tokens, param);
    }
    return ids;
}

Status check_dimensions(const EmbeddingsRequest& request, uint32_t dimensions) {
    if (request.dimensions > dimensions) {
        return invalid_argument(fmt::format("'dimensions' is {}, and this model's vectors have {}",
                                            request.dimensions, dimensions),
                                "dimensions");
    }
    const uint64_t each = request.dimensions > 0 ? request.dimensions : dimensions;
    const uint64_t most = request.base64 ? kBase64NumbersMax : kNumbersMax;
    if (request.inputs.size() * each > most) {
        return invalid_argument(
            fmt::format("{} vectors of {} numbers are more than one answer may hold ({} numbers): "
                        "send fewer inputs at once{}",
                        request.inputs.size(), each, most,
                        request.base64 ? "" : ", or set encoding_format to \"base64\""),
            "input");
    }
    return Ok{};
}

Result<VectorPlan> plan_embeddings(const std::string& body, Services& services) {
    const LoadedModel& model = *services.model;
    Result<json::value> parsed = parse_json(body);
    if (!parsed) {
        return parsed.error();
    }
    Result<EmbeddingsRequest> request = protocol::openai::parse_embeddings(*parsed);
    if (!request) {
        return request.error();
    }
    if (model.embedding.pooling == engine::Pooling::kRank) {
        return wrong_kind_of_model(
            "this model ranks documents and makes no embeddings: ask it at /v1/rerank");
    }
    GANTRY_TRY(check_dimensions(*request, model.embedding.dimensions));
    VectorPlan plan;
    for (size_t i = 0; i < request->inputs.size(); ++i) {
        const std::string param =
            request->inputs.size() == 1 ? "input" : fmt::format("input[{}]", i);
        Result<std::vector<engine::TokenId>> tokens = tokens_of(request->inputs[i], model, param);
        if (!tokens) {
            return tokens.error();
        }
        plan.inputs.push_back(*std::move(tokens));
    }
    plan.finish = [name = answering_name(services, request->model), base64 = request->base64,
                   dimensions = request->dimensions,
                   tokens = token_count(plan.inputs)](engine::Vectors vectors) -> Result<std::string> {
        for (std::vector<float>& vector : vectors) {
            if (dimensions > 0) {
                vector.resize(dimensions);  // Matryoshka: the first numbers are a vector, too
            }
            GANTRY_TRY(normalise(vector));
        }
        return protocol::openai::embeddings_json(name, vectors, base64, tokens);
    };
    return plan;
}

}  // namespace

http::Task<void> embeddings(http::Exchange& exchange, Services& services) {
    return plan_and_embed(exchange, services, plan_embeddings);
}

}  // namespace gantry::engine_server
