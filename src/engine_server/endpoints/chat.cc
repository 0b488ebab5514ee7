#include "protocol/openai/chat.h"

#include "engine_server/endpoints/endpoints.h"
#include "engine_server/grammar/json_schema_check.h"

namespace gantry::engine_server {
namespace {

using protocol::openai::ChatRequest;
using protocol::openai::ResponseFormat;

constexpr protocol::openai::Capabilities kCapabilities = {.structured_output = true};

// For AnswerPlan::schema.
Result<std::string> schema_of(const ResponseFormat& format) {
    if (format.kind == ResponseFormat::Kind::kText) {
        return std::string();
    }
    Result<CheckedSchema> checked =
        format.kind == ResponseFormat::Kind::kJsonObject
            ? any_object_schema()
            : check_schema(format.schema, protocol::openai::kSchemaPath);
    if (!checked) {
        return checked.error();
    }
    return std::move(checked->text);
}

// On a thread of the pool: reads only what does not change once the model is loaded.
Result<AnswerPlan> plan_chat(const std::string& body, Services& services) {
    const LoadedModel& model = *services.model;
    Result<json::value> parsed = parse_json(body);
    if (!parsed) {
        return parsed.error();
    }
    Result<ChatRequest> request = protocol::openai::parse_chat(*parsed);
    if (!request) {
        return request.error();
    }
    if (Status supported = protocol::openai::check_supported(*request, kCapabilities); !supported) {
        return supported.error();
    }
    Result<std::string> schema = schema_of(request->response_format);
    if (!schema) {
        return schema.error();
    }
    const auto special = [&model](std::string_view text) {
        return model.tokenizer->special_text_starts(text);
    };
    Result<std::vector<PromptPart>> parts =
        model.chat_template->render(*request, services.clock.wall(), special);
    if (!parts) {
        return parts.error();
    }
    const uint32_t context = model.capacity.context_tokens;
    Result<std::vector<engine::TokenId>> tokens =
        tokenize_prompt(*model.tokenizer, *parts, context, "messages");
    if (!tokens) {
        return tokens.error();
    }
    if (tokens->empty()) {
        return invalid_argument("the model's chat template makes an empty prompt of these messages",
                                "messages");
    }
    if (tokens->size() >= context) {
        return context_exceeded(tokens->size(), context, "messages");
    }
    Result<engine::SamplingParams> sampling =
        make_sampling(request->generation, model.tokenizer->size(), services.random);
    if (!sampling) {
        return sampling.error();
    }
    AnswerPlan plan;
    plan.kind = protocol::openai::AnswerKind::kChat;
    plan.model = answering_name(services, request->model);
    plan.generation = std::move(request->generation);
    plan.sampling = *std::move(sampling);
    plan.prompts.push_back(*std::move(tokens));
    plan.schema = *std::move(schema);
    return plan;
}

}  // namespace

http::Task<void> chat(http::Exchange& exchange, Services& services) {
    co_await plan_and_answer(exchange, services, plan_chat);
}

}  // namespace gantry::engine_server
