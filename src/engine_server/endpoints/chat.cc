#include "protocol/openai/chat.h"

#include <fmt/format.h>

#include "engine_server/endpoints/endpoints.h"
#include "engine_server/grammar/json_schema_check.h"

namespace gantry::engine_server {
namespace {

using protocol::openai::ChatRequest;
using protocol::openai::ResponseFormat;

constexpr protocol::openai::Capabilities kCapabilities = {.tools = true, .structured_output = true};

// What the arguments of a tool are held to. A schema that is not enforced here is only refused where the tool is strict.
Result<std::string> schema_of_arguments(const json::array& tools, const std::string& name) {
    for (size_t i = 0; i < tools.size(); ++i) {
        const json::object& function = tools[i].at("function").as_object();
        if (function.at("name").as_string() != name) {
            continue;
        }
        const json::value* parameters = function.if_contains("parameters");
        if (parameters == nullptr || parameters->is_null()) {
            return any_object_schema().text;
        }
        const std::string path = fmt::format("tools[{}].function.parameters", i);
        Result<CheckedSchema> checked = check_schema(*parameters, path);
        const json::value* strict = function.if_contains("strict");
        if (!checked && strict != nullptr && strict->is_bool() && strict->get_bool()) {
            return checked.error();
        }
        return checked ? std::move(checked->text) : any_object_schema().text;
    }
    return any_object_schema().text;
}

// For AnswerPlan::schema, where the answer is bound to be a call.
Result<std::string> schema_of_calls(const std::vector<ForcedCall>& calls, const json::array& tools) {
    std::vector<CallForm> forms;
    for (const ForcedCall& call : calls) {
        Result<std::string> schema = schema_of_arguments(tools, call.name);
        if (!schema) {
            return schema;
        }
        forms.push_back({call.begin, *std::move(schema)});
    }
    return forms.size() == 1 ? forms.front().schema : forced_calls(forms);
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
    if (Status supported = check_chat(*request); !supported) {
        return supported.error();
    }
    Result<std::string> schema = schema_of(request->response_format);
    if (!schema) {
        return schema.error();
    }
    Result<ChatPrompt> prompt = render_chat(*request, !schema->empty(), services);
    if (!prompt) {
        return prompt.error();
    }
    if (prompt->syntax && !prompt->syntax->forced.empty()) {
        schema = schema_of_calls(prompt->syntax->forced, request->tools);
        if (!schema) {
            return schema.error();
        }
    }
    const uint32_t context = model.capacity.context_tokens;
    Result<std::vector<engine::TokenId>> tokens =
        tokenize_prompt(*model.tokenizer, prompt->parts, context, "messages");
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
    plan.syntax = std::move(prompt->syntax);
    return plan;
}

}  // namespace

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

Status check_chat(const ChatRequest& request) {
    return protocol::openai::check_supported(request, kCapabilities);
}

Result<ChatPrompt> render_chat(const ChatRequest& request, bool constrained, Services& services) {
    const LoadedModel& model = *services.model;
    const auto special = [&model](std::string_view text) {
        return model.tokenizer->special_text_starts(text);
    };
    return model.chat_template->render(request, services.clock.wall(), special, constrained);
}

http::Task<void> chat(http::Exchange& exchange, Services& services) {
    co_await plan_and_answer(exchange, services, plan_chat);
}

}  // namespace gantry::engine_server
