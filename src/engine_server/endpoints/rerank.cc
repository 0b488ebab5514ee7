#include "protocol/openai/rerank.h"

#include <fmt/format.h>

#include <cmath>

#include "engine_server/endpoints/endpoints.h"
#include "engine_server/vectors.h"

namespace gantry::engine_server {
namespace {

using protocol::openai::RerankRequest;
using Tokens = std::vector<engine::TokenId>;

void append(Tokens& out, const Tokens& more) { out.insert(out.end(), more.begin(), more.end()); }

// The model's own words around a query and a document. What clients wrote is text, whatever special
// tokens it spells.
Result<Tokens> fill_template(const LoadedModel& model, const Tokens& query, const Tokens& document) {
    constexpr std::string_view kQuery = "{query}";
    constexpr std::string_view kDocument = "{document}";
    Tokens out;
    std::string_view rest = model.rerank_template;
    while (!rest.empty()) {
        const size_t query_at = std::min(rest.find(kQuery), rest.size());
        const size_t document_at = std::min(rest.find(kDocument), rest.size());
        const size_t at = std::min(query_at, document_at);
        Result<Tokens> words = model.tokenizer->tokenize(rest.substr(0, at), true);
        if (!words) {
            return words.error();
        }
        append(out, *words);
        if (at == rest.size()) {
            break;
        }
        append(out, at == query_at ? query : document);
        rest.remove_prefix(at + (at == query_at ? kQuery : kDocument).size());
    }
    return out;
}

Result<Tokens> pair_of(const LoadedModel& model, const Tokens& query, const Tokens& document,
                       const std::string& param) {
    Tokens pair;
    if (!model.rerank_template.empty()) {
        Result<Tokens> filled = fill_template(model, query, document);
        if (!filled) {
            return filled.error();
        }
        pair = *std::move(filled);
    } else {
        const TextFrame frame = model.tokenizer->frame();
        pair = frame.begin;
        append(pair, query);
        append(pair, frame.between);
        append(pair, document);
        append(pair, frame.end);
    }
    if (pair.size() > model.embedding.input_tokens) {
        return invalid_argument(
            fmt::format("this model takes {} tokens, and '{}' has {} with the query: shorten or "
                        "split it",
                        model.embedding.input_tokens, param, pair.size()),
            param, "context_length_exceeded");
    }
    return pair;
}

// A model with a head for it is shown each document with the query.
Result<std::vector<Tokens>> pairs_of(const LoadedModel& model, const RerankRequest& request) {
    Result<Tokens> query = text_tokens(model, request.query, "query");
    if (!query) {
        return query.error();
    }
    std::vector<Tokens> inputs;
    for (size_t i = 0; i < request.documents.size(); ++i) {
        const std::string param = fmt::format("documents[{}]", i);
        Result<Tokens> document = text_tokens(model, request.documents[i], param);
        if (!document) {
            return document.error();
        }
        Result<Tokens> pair = pair_of(model, *query, *document, param);
        if (!pair) {
            return pair.error();
        }
        inputs.push_back(*std::move(pair));
    }
    return inputs;
}

// Any other is shown the query and each document by itself; the angle between them is the score.
Result<std::vector<Tokens>> texts_of(const LoadedModel& model, const RerankRequest& request) {
    std::vector<Tokens> inputs;
    for (size_t i = 0; i <= request.documents.size(); ++i) {
        const std::string param = i == 0 ? "query" : fmt::format("documents[{}]", i - 1);
        const std::string& text = i == 0 ? request.query : request.documents[i - 1];
        Result<Tokens> tokens = framed_text(model, text, param);
        if (!tokens) {
            return tokens.error();
        }
        inputs.push_back(*std::move(tokens));
    }
    return inputs;
}

Result<std::vector<float>> scores_by_head(const engine::Vectors& vectors) {
    std::vector<float> scores;
    for (const std::vector<float>& vector : vectors) {
        if (vector.empty() || !std::isfinite(vector.front())) {
            Error error = internal_error("the model gave a score that is no number");
            error.reason = "engine_error";
            return error;
        }
        scores.push_back(vector.front());
    }
    return scores;
}

Result<std::vector<float>> scores_by_angle(engine::Vectors vectors) {
    for (std::vector<float>& vector : vectors) {
        GANTRY_TRY(normalise(vector));
    }
    std::vector<float> scores;
    for (size_t i = 1; i < vectors.size(); ++i) {
        double cosine = 0;
        for (size_t d = 0; d < vectors[i].size(); ++d) {
            cosine += double{vectors[0][d]} * vectors[i][d];
        }
        scores.push_back(static_cast<float>(cosine));
    }
    return scores;
}

Result<VectorPlan> plan_rerank(const std::string& body, Services& services) {
    const LoadedModel& model = *services.model;
    Result<json::value> parsed = parse_json(body);
    if (!parsed) {
        return parsed.error();
    }
    Result<RerankRequest> request = protocol::openai::parse_rerank(*parsed);
    if (!request) {
        return request.error();
    }
    const bool by_head = model.embedding.pooling == engine::Pooling::kRank;
    Result<std::vector<Tokens>> inputs =
        by_head ? pairs_of(model, *request) : texts_of(model, *request);
    if (!inputs) {
        return inputs.error();
    }
    VectorPlan plan;
    plan.inputs = *std::move(inputs);
    plan.finish = [by_head, name = answering_name(services, request->model),
                   tokens = token_count(plan.inputs), &random = services.random,
                   asked = *std::move(request)](engine::Vectors vectors) -> Result<std::string> {
        Result<std::vector<float>> scores =
            by_head ? scores_by_head(vectors) : scores_by_angle(std::move(vectors));
        if (!scores) {
            return scores.error();
        }
        return json::serialize(
            protocol::openai::rerank_object(asked, name, *scores, tokens, random));
    };
    return plan;
}

}  // namespace

http::Task<void> rerank(http::Exchange& exchange, Services& services) {
    return plan_and_embed(exchange, services, plan_rerank);
}

}  // namespace gantry::engine_server
