#include "protocol/openai/completions.h"

#include <fmt/format.h>

#include "engine_server/endpoints/endpoints.h"
#include "protocol/openai/utf8.h"

namespace gantry::engine_server {
namespace {

using protocol::openai::CompletionRequest;
using protocol::openai::Prompt;

struct Tokens {
    std::vector<engine::TokenId> ids;
    std::string text;  // for echo
};

// A prompt's text is all the client's own, so special tokens in it are what the client means.
Result<Tokens> tokens_of(const Prompt& prompt, const LoadedModel& model, const std::string& param) {
    const uint32_t context = model.capacity.context_tokens;
    Tokens tokens;
    if (const auto* text = std::get_if<std::string>(&prompt)) {
        Result<std::vector<engine::TokenId>> ids =
            tokenize_prompt(*model.tokenizer, {PromptPart{*text, false}}, context, param);
        if (!ids) {
            return ids.error();
        }
        tokens.ids = *std::move(ids);
        tokens.text = *text;
    } else {
        tokens.ids = std::get<std::vector<int32_t>>(prompt);
        std::string bytes;
        for (const engine::TokenId id : tokens.ids) {
            if (static_cast<uint32_t>(id) >= model.tokenizer->size()) {
                return invalid_argument(
                    fmt::format("'{}' holds token {}, and this model's tokens are 0 to {}", param,
                                id, model.tokenizer->size() - 1),
                    param);
            }
            bytes += model.tokenizer->piece(id, true);
        }
        tokens.text = protocol::openai::to_utf8(bytes);
    }
    if (tokens.ids.empty()) {
        return invalid_argument(
            fmt::format("'{}' is empty, and this model has no token to begin with", param), param);
    }
    if (tokens.ids.size() >= context) {
        return context_exceeded(tokens.ids.size(), context, param);
    }
    return tokens;
}

Result<AnswerPlan> plan_completion(const std::string& body, Services& services) {
    const LoadedModel& model = *services.model;
    Result<json::value> parsed = parse_json(body);
    if (!parsed) {
        return parsed.error();
    }
    Result<CompletionRequest> request = protocol::openai::parse_completion(*parsed);
    if (!request) {
        return request.error();
    }
    if (request->echo && request->generation.logprobs) {
        return invalid_argument("'echo' with 'logprobs' is not supported: leave one of them out",
                                "echo", "unsupported_parameter");
    }
    Result<engine::SamplingParams> sampling =
        make_sampling(request->generation, model.tokenizer->size(), services.random);
    if (!sampling) {
        return sampling.error();
    }
    Result<std::string> schema = schema_of(request->response_format);
    if (!schema) {
        return schema.error();
    }
    AnswerPlan plan;
    plan.kind = protocol::openai::AnswerKind::kCompletion;
    plan.schema = *std::move(schema);
    for (size_t i = 0; i < request->prompts.size(); ++i) {
        const std::string param =
            request->prompts.size() == 1 ? "prompt" : fmt::format("prompt[{}]", i);
        Result<Tokens> tokens = tokens_of(request->prompts[i], model, param);
        if (!tokens) {
            return tokens.error();
        }
        plan.prompts.push_back(std::move(tokens->ids));
        if (request->echo) {
            plan.echoes.push_back(std::move(tokens->text));
        }
    }
    plan.model = answering_name(services, request->model);
    plan.generation = std::move(request->generation);
    plan.sampling = *std::move(sampling);
    return plan;
}

}  // namespace

http::Task<void> completions(http::Exchange& exchange, Services& services) {
    co_await plan_and_answer(exchange, services, plan_completion);
}

}  // namespace gantry::engine_server
