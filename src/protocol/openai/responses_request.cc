#include "protocol/openai/responses_request.h"

#include <fmt/format.h>

#include "protocol/openai/fields.h"
#include "protocol/openai/responses_answer.h"

namespace gantry::protocol::openai {
namespace {

// Collects the items of `input` as the messages of a chat.
class Conversation {
public:
    void add_instructions(const std::string& text) { add("instructions", {{"role", "system"}, {"content", text}}); }
    Status add_input(const json::value& input);

    json::array messages;
    std::vector<std::string> origins;   // the path of what each came from

private:
    void add(std::string path, json::object message) {
        messages.push_back(std::move(message));
        origins.push_back(std::move(path));
    }
    // The message of the assistant that calls and reasoning belong to: the last one, or a new one.
    json::object& assistant(const std::string& path);
    Status add_item(const json::object& item, const std::string& path);
    Status add_message(const json::object& item, const std::string& path);
    Status add_call(const json::object& item, const std::string& path);
    Status add_output(const json::object& item, const std::string& path);
    Status add_reasoning(const json::object& item, const std::string& path);

    std::string reasoning_;   // of the assistant's message that comes next
};

json::object& Conversation::assistant(const std::string& path) {
    const bool goes_on = !messages.empty() && messages.back().get_object().at("role") == "assistant" && reasoning_.empty();
    if (!goes_on) {
        json::object message{{"role", "assistant"}, {"content", nullptr}};
        if (!reasoning_.empty()) message["reasoning_content"] = std::exchange(reasoning_, {});
        add(path, std::move(message));
    }
    return messages.back().get_object();
}

// A part in chat's words.
Result<json::value> chat_part(const json::value& value, const std::string& path) {
    Result<TypedObject> part = as_typed_object(value, path);
    if (!part) return part.error();
    const auto& [fields, type] = *part;
    if (type == "input_text" || type == "output_text" || type == "text" || type == "refusal") {
        Result<std::string> text = required_text(*fields, type == "refusal" ? "refusal" : "text", path);
        if (!text) return text.error();
        return json::value(json::object{{"type", "text"}, {"text", *text}});
    }
    if (type == "input_image") {
        Result<std::string> url = required_text(*fields, "image_url", path);
        if (!url) return url.error();
        json::object image{{"url", *url}};
        if (const json::value* detail = find(*fields, "detail")) image["detail"] = *detail;
        return json::value(json::object{{"type", "image_url"}, {"image_url", std::move(image)}});
    }
    return unsupported_field(path + ".type", fmt::format("'{}.type' must be input_text, output_text or input_image", path));
}

// A string stays one; parts become chat's. `text_only`: joined to one string.
Result<json::value> chat_content(const json::object& item, const char* key, const std::string& path, bool text_only) {
    const std::string full = fmt::format("{}.{}", path, key);
    const json::value* content = find(item, key);
    if (content == nullptr) return missing_field(full);
    if (content->is_string()) return *content;
    if (!content->is_array()) return wrong_type(full, "a string or an array of parts", *content);
    json::array parts;
    std::string joined;
    for (size_t i = 0; i < content->get_array().size(); ++i) {
        Result<json::value> part = chat_part(content->get_array()[i], fmt::format("{}[{}]", full, i));
        if (!part) return part.error();
        if (const json::value* text = part->get_object().if_contains("text")) joined += text->get_string();
        parts.push_back(*std::move(part));
    }
    return text_only ? json::value(joined) : json::value(std::move(parts));
}

Status Conversation::add_message(const json::object& item, const std::string& path) {
    Result<std::string> role = required_text(item, "role", path);
    if (!role) return role.error();
    if (*role != "user" && *role != "assistant" && *role != "system" && *role != "developer") {
        return invalid_argument(fmt::format("'{}.role' must be user, assistant, system or developer", path), path + ".role");
    }
    const bool own = *role == "assistant";
    Result<json::value> content = chat_content(item, "content", path, own);
    if (!content) return content.error();
    if (own) {
        reasoning_.empty() ? add(path, {{"role", "assistant"}, {"content", nullptr}}) : void(assistant(path));
        messages.back().get_object()["content"] = *std::move(content);
        return Ok{};
    }
    reasoning_.clear();
    add(path, {{"role", *role}, {"content", *std::move(content)}});
    return Ok{};
}

Status Conversation::add_call(const json::object& item, const std::string& path) {
    json::object call{{"type", "function"}};
    Result<std::string> id = required_text(item, "call_id", path);
    if (!id) return id.error();
    Result<std::string> name = required_text(item, "name", path);
    if (!name) return name.error();
    Result<std::string> arguments = required_text(item, "arguments", path);
    if (!arguments) return arguments.error();
    call["id"] = *id;
    call["function"] = json::object{{"name", *name}, {"arguments", *arguments}};
    json::value& calls = assistant(path)["tool_calls"];
    if (!calls.is_array()) calls = json::array();
    calls.get_array().push_back(std::move(call));
    return Ok{};
}

Status Conversation::add_output(const json::object& item, const std::string& path) {
    Result<std::string> id = required_text(item, "call_id", path);
    if (!id) return id.error();
    Result<json::value> output = chat_content(item, "output", path, true);
    if (!output) return output.error();
    add(path, {{"role", "tool"}, {"tool_call_id", *id}, {"content", *std::move(output)}});
    return Ok{};
}

// The text where the item has it, else its summary; what is encrypted is nobody's here.
Status Conversation::add_reasoning(const json::object& item, const std::string& path) {
    for (const char* key : {"content", "summary"}) {
        const json::value* parts = find(item, key);
        if (parts == nullptr || !reasoning_.empty()) continue;
        Result<const json::array*> list = as_array(*parts, fmt::format("{}.{}", path, key));
        if (!list) return list.error();
        for (size_t i = 0; i < (*list)->size(); ++i) {
            const std::string at = fmt::format("{}.{}[{}]", path, key, i);
            Result<const json::object*> part = as_object((**list)[i], at);
            if (!part) return part.error();
            Result<std::string> text = required_text(**part, "text", at);
            if (!text) return text.error();
            reasoning_ += *text;
        }
    }
    return Ok{};
}

Status Conversation::add_item(const json::object& item, const std::string& path) {
    std::string type = "message";
    if (find(item, "type") != nullptr) {
        Result<std::string> named = required_text(item, "type", path);
        if (!named) return named.error();
        type = *std::move(named);
    }
    if (type == "message") return add_message(item, path);
    if (type == "function_call") return add_call(item, path);
    if (type == "function_call_output") return add_output(item, path);
    if (type == "reasoning") return add_reasoning(item, path);
    if (type == "item_reference") {
        return unsupported_field(path + ".type", "items are not stored here: send the item itself instead of an item_reference");
    }
    return unsupported_field(path + ".type", fmt::format("'{}.type' must be message, function_call, function_call_output or reasoning", path));
}

Status Conversation::add_input(const json::value& input) {
    if (input.is_string()) {
        add("input", {{"role", "user"}, {"content", input}});
        return Ok{};
    }
    if (!input.is_array()) return wrong_type("input", "a string or an array of items", input);
    for (size_t i = 0; i < input.get_array().size(); ++i) {
        const std::string path = fmt::format("input[{}]", i);
        Result<const json::object*> item = as_object(input.get_array()[i], path);
        if (!item) return item.error();
        GANTRY_TRY(add_item(**item, path));
    }
    return Ok{};
}

Result<json::array> chat_tools(const json::value& value) {
    Result<const json::array*> tools = as_array(value, "tools");
    if (!tools) return tools.error();
    json::array out;
    for (size_t i = 0; i < (*tools)->size(); ++i) {
        const std::string path = fmt::format("tools[{}]", i);
        Result<TypedObject> tool = as_typed_object((**tools)[i], path);
        if (!tool) return tool.error();
        if (tool->type != "function") {
            return unsupported_field(path + ".type", fmt::format("'{}.type' must be function: this server runs no tools of its own", path));
        }
        json::object function = *tool->fields;
        function.erase("type");
        out.push_back(json::object{{"type", "function"}, {"function", std::move(function)}});
    }
    return out;
}

Result<json::value> chat_tool_choice(const json::value& value) {
    if (value.is_string()) return value;
    Result<TypedObject> choice = as_typed_object(value, "tool_choice");
    if (!choice) return choice.error();
    if (choice->type != "function") return unsupported_field("tool_choice.type", "'tool_choice.type' must be function");
    Result<std::string> name = required_text(*choice->fields, "name", "tool_choice");
    if (!name) return name.error();
    return json::value(choice_of_function(*name));
}

// text.format has flat what response_format nests.
Status add_format(const json::value& value, json::object& chat) {
    Result<const json::object*> text = as_object(value, "text");
    if (!text) return text.error();
    const json::value* format = find(**text, "format");
    if (format == nullptr) return Ok{};
    Result<TypedObject> wanted = as_typed_object(*format, "text.format");
    if (!wanted) return wanted.error();
    json::object out{{"type", wanted->type}};
    if (wanted->type == "json_schema") {
        json::object schema = *wanted->fields;
        schema.erase("type");
        out["json_schema"] = std::move(schema);
    }
    chat["response_format"] = std::move(out);
    return Ok{};
}

Status add_reasoning_options(const json::value& value, json::object& chat) {
    Result<const json::object*> reasoning = as_object(value, "reasoning");
    if (!reasoning) return reasoning.error();
    const json::value* effort = find(**reasoning, "effort");
    if (effort == nullptr) return Ok{};
    Result<std::string> word = as_string(*effort, "reasoning.effort");
    if (!word) return word.error();
    chat["reasoning_effort"] = *word;
    if (*word == "none") chat["chat_template_kwargs"] = json::object{{"enable_thinking", false}};
    return Ok{};
}

// What needs a memory of earlier requests, or somebody who waits for the answer elsewhere.
Status refuse_stateful(const json::object& fields) {
    for (const char* key : {"previous_response_id", "conversation"}) {
        if (find(fields, key) != nullptr) {
            return unsupported_field(
                key, fmt::format("responses are not stored here, so '{}' names nothing: send the whole conversation in 'input'", key));
        }
    }
    if (find(fields, "prompt") != nullptr) return unsupported_field("prompt", "prompts are not stored here: send 'instructions' and 'input'");
    if (const json::value* background = find(fields, "background")) {
        Result<bool> flag = as_bool(*background, "background");
        if (!flag) return flag.error();
        if (*flag) return unsupported_field("background", "'background' is not supported: responses are not stored here");
    }
    return Ok{};
}

constexpr std::string_view kSame[] = {
    "model", "stream", "temperature", "top_p", "seed", "stop", "presence_penalty", "frequency_penalty", "logit_bias", "user",
    "ignore_eos", "min_tokens", "top_k", "min_p", "repetition_penalty", "stop_token_ids", "chat_template_kwargs", "service_tier",
    "priority", "cache_salt", "deadline_ms", "parallel_tool_calls",
};

Status add_settings(const json::object& fields, json::object& chat) {
    for (const std::string_view key : kSame) {
        if (const json::value* value = find(fields, key)) chat[key] = *value;
    }
    if (const json::value* most = find(fields, "max_output_tokens")) chat["max_completion_tokens"] = *most;
    if (const json::value* top = find(fields, "top_logprobs")) {
        chat["logprobs"] = true;
        chat["top_logprobs"] = *top;
    }
    if (const json::value* reasoning = find(fields, "reasoning")) GANTRY_TRY(add_reasoning_options(*reasoning, chat));
    if (const json::value* text = find(fields, "text")) GANTRY_TRY(add_format(*text, chat));
    if (const json::value* tools = find(fields, "tools")) {
        Result<json::array> functions = chat_tools(*tools);
        if (!functions) return functions.error();
        if (!functions->empty()) chat["tools"] = *std::move(functions);
    }
    if (const json::value* choice = find(fields, "tool_choice")) {
        Result<json::value> word = chat_tool_choice(*choice);
        if (!word) return word.error();
        chat["tool_choice"] = *std::move(word);
    }
    return Ok{};
}

// Every response object has these, as asked or by default.
json::object echo_of(const json::object& fields, WallTime now) {
    const std::pair<const char*, json::value> kEchoed[] = {
        {"instructions", nullptr}, {"max_output_tokens", nullptr}, {"max_tool_calls", nullptr}, {"metadata", json::object()}, {"model", ""},
        {"parallel_tool_calls", true}, {"prompt_cache_key", nullptr}, {"reasoning", json::object{{"effort", nullptr}, {"summary", nullptr}}},
        {"safety_identifier", nullptr}, {"service_tier", "default"}, {"temperature", 1.0},
        {"text", json::object{{"format", json::object{{"type", "text"}}}}}, {"tool_choice", "auto"}, {"tools", json::array()},
        {"top_logprobs", 0}, {"top_p", 1.0}, {"user", nullptr},
    };
    json::object echo{{"created_at", to_unix_ms(now) / 1000}};
    for (const auto& [key, otherwise] : kEchoed) {
        const json::value* value = find(fields, key);
        echo[key] = value == nullptr ? otherwise : *value;
    }
    echo["background"] = false;
    echo["previous_response_id"] = nullptr;
    echo["store"] = false;
    echo["truncation"] = "disabled";
    return echo;
}

}  // namespace

Result<Translated> translate_responses(const json::value& body, RandomSource& random, WallTime now) {
    Result<const json::object*> object = as_object(body, "");
    if (!object) return object.error();
    const json::object& fields = **object;
    GANTRY_TRY(refuse_stateful(fields));
    Conversation conversation;
    if (find(fields, "instructions") != nullptr) {
        Result<std::string> text = required_text(fields, "instructions", "");
        if (!text) return text.error();
        conversation.add_instructions(*text);
    }
    const json::value* input = find(fields, "input");
    if (input == nullptr) return missing_field("input", "a text, or an array of items");
    GANTRY_TRY(conversation.add_input(*input));
    Translated out;
    GANTRY_TRY(add_settings(fields, out.body));
    out.body["messages"] = std::move(conversation.messages);
    ResponsesEcho echo{echo_of(fields, now), {"input", std::move(conversation.origins)}};
    out.translator = responses_translator(std::move(echo), random);
    return out;
}

}  // namespace gantry::protocol::openai
