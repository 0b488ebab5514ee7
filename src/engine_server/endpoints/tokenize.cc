#include <limits>

#include "engine_server/endpoints/endpoints.h"
#include "protocol/openai/fields.h"
#include "protocol/openai/utf8.h"

namespace gantry::engine_server {
namespace {

using protocol::openai::find;

using Done = std::optional<Result<std::string>>;  // the body of the answer

Result<bool> flag_at(const json::object& fields, const char* name, bool otherwise) {
    const json::value* value = find(fields, name);
    return value == nullptr ? Result<bool>(otherwise) : protocol::openai::as_bool(*value, name);
}

std::string token_answer(const std::vector<engine::TokenId>& tokens, const LoadedModel& model) {
    json::object answer;
    answer["count"] = tokens.size();
    answer["max_model_len"] = model.embedder ? model.embedding.input_tokens : model.capacity.context_tokens;
    answer["tokens"] = json::array(tokens.begin(), tokens.end());
    return json::serialize(answer);
}

// Those that a chat completion would compute.
Result<std::string> tokenize_messages(const json::value& body, Services& services) {
    if (!services.model->chat_template) {
        return wrong_kind_of_model(
            "this model makes embeddings and knows no conversations: send the text as 'prompt', or "
            "choose another model");
    }
    Result<protocol::openai::ChatRequest> request = protocol::openai::parse_chat(body);
    if (!request) {
        return request.error();
    }
    if (Status supported = check_chat(*request); !supported) {
        return supported.error();
    }
    Result<ChatPrompt> prompt = render_chat(*request, false, services);
    if (!prompt) {
        return prompt.error();
    }
    const LoadedModel& model = *services.model;
    Result<std::vector<engine::TokenId>> tokens = tokenize_prompt(
        *model.tokenizer, prompt->parts, model.capacity.context_tokens, "messages");
    if (!tokens) {
        return tokens.error();
    }
    return token_answer(*tokens, model);
}

Result<std::string> tokenize_body(const std::string& body, Services& services) {
    const LoadedModel& model = *services.model;
    Result<json::value> parsed = parse_json(body);
    if (!parsed) {
        return parsed.error();
    }
    Result<const json::object*> fields = protocol::openai::as_object(*parsed, "");
    if (!fields) {
        return fields.error();
    }
    if (find(**fields, "messages") != nullptr) {
        return tokenize_messages(*parsed, services);
    }
    const json::value* content = find(**fields, "content");
    if (content == nullptr) {
        content = find(**fields, "prompt");
    }
    if (content == nullptr) {
        return invalid_argument("'content' is missing: send the text to split into tokens",
                                "content");
    }
    Result<std::string> text = protocol::openai::as_string(*content, "content");
    if (!text) {
        return text.error();
    }
    Result<bool> add_special = flag_at(**fields, "add_special", false);
    if (!add_special) {
        return add_special.error();
    }
    Result<bool> parse_special = flag_at(**fields, "parse_special", true);
    if (!parse_special) {
        return parse_special.error();
    }
    Result<std::vector<engine::TokenId>> ids = model.tokenizer->tokenize(*text, *parse_special);
    if (!ids) {
        return ids.error();
    }
    if (*add_special && model.tokenizer->begin_token() >= 0) {
        ids->insert(ids->begin(), model.tokenizer->begin_token());
    }
    return token_answer(*ids, model);
}

Result<std::string> detokenize_body(const std::string& body, Services& services) {
    const LoadedModel& model = *services.model;
    Result<json::value> parsed = parse_json(body);
    if (!parsed) {
        return parsed.error();
    }
    Result<const json::object*> fields = protocol::openai::as_object(*parsed, "");
    if (!fields) {
        return fields.error();
    }
    const json::value* tokens = find(**fields, "tokens");
    if (tokens == nullptr) {
        return invalid_argument("'tokens' is missing: send the ids to turn into text", "tokens");
    }
    Result<const json::array*> ids = protocol::openai::as_array(*tokens, "tokens");
    if (!ids) {
        return ids.error();
    }
    std::string bytes;
    for (const json::value& value : **ids) {
        Result<int64_t> id =
            protocol::openai::as_integer(value, "tokens", 0, int64_t{model.tokenizer->size()} - 1);
        if (!id) {
            return id.error();
        }
        bytes += model.tokenizer->piece(static_cast<engine::TokenId>(*id), true);
    }
    json::object answer;
    answer["content"] = protocol::openai::to_utf8(bytes);
    return json::serialize(answer);
}

using Work = Result<std::string> (*)(const std::string&, Services&);

http::Task<void> run_on_pool(http::Exchange& exchange, Services& services, Work make) {
    if (std::optional<Error> error = not_ready(services)) {
        co_await respond_error(exchange, *error);
        co_return;
    }
    if (services.model->transcriber) {
        const Error error = hears_only();
        co_await respond_error(exchange, error);
        co_return;
    }
    http::BlockingPool& pool = services.pool_for(exchange.request().body.size());
    auto work = [body = std::move(exchange.request().body), &services, make]() -> Done {
        return make(body, services);
    };
    Done done = co_await pool.run(std::move(work));
    if (!*done) {
        co_await respond_error(exchange, done->error());
        co_return;
    }
    http::Response response = http::json_response(200, std::move(*done).value());
    co_await exchange.respond(std::move(response));
}

}  // namespace

http::Task<void> tokenize(http::Exchange& exchange, Services& services) {
    return run_on_pool(exchange, services, tokenize_body);
}

http::Task<void> detokenize(http::Exchange& exchange, Services& services) {
    return run_on_pool(exchange, services, detokenize_body);
}

}  // namespace gantry::engine_server
