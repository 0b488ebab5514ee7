#include "protocol/anthropic/messages.h"

#include <fmt/format.h>

#include "protocol/anthropic/messages_answer.h"
#include "protocol/openai/fields.h"
#include "protocol/openai/generation.h"

namespace gantry::protocol::anthropic {
namespace {

using openai::as_array;
using openai::as_bool;
using openai::as_integer;
using openai::as_number;
using openai::as_object;
using openai::as_string;
using openai::as_typed_object;
using openai::find;
using openai::missing_field;
using openai::required_text;
using openai::TypedObject;
using openai::unsupported_field;

// The text of a string, or of an array of text blocks.
Result<std::string> joined_text(const json::value& value, const std::string& path) {
    if (value.is_string()) return as_string(value, path);
    if (!value.is_array()) return openai::wrong_type(path, "a string or an array of text blocks", value);
    std::string joined;
    for (size_t i = 0; i < value.get_array().size(); ++i) {
        const std::string at = fmt::format("{}[{}]", path, i);
        Result<TypedObject> block = as_typed_object(value.get_array()[i], at);
        if (!block) return block.error();
        const auto& [fields, type] = *block;
        if (type != "text") return unsupported_field(at + ".type", fmt::format("'{}.type' must be text", at));
        Result<std::string> text = required_text(*fields, "text", at);
        if (!text) return text.error();
        joined.append(joined.empty() ? "" : "\n").append(*text);
    }
    return joined;
}

Result<json::value> image_part(const json::object& block, const std::string& path) {
    const json::value* value = find(block, "source");
    if (value == nullptr) return missing_field(path + ".source");
    Result<TypedObject> source = as_typed_object(*value, path + ".source");
    if (!source) return source.error();
    const auto& [fields, type] = *source;
    std::string url;
    if (type == "base64") {
        Result<std::string> media = required_text(*fields, "media_type", path + ".source");
        if (!media) return media.error();
        Result<std::string> data = required_text(*fields, "data", path + ".source");
        if (!data) return data.error();
        url = "data:" + *media + ";base64," + *data;
    } else if (type == "url") {
        Result<std::string> text = required_text(*fields, "url", path + ".source");
        if (!text) return text.error();
        url = *std::move(text);
    } else {
        return unsupported_field(path + ".source.type", fmt::format("'{}.source.type' must be base64 or url", path));
    }
    return json::value(json::object{{"type", "image_url"}, {"image_url", json::object{{"url", url}}}});
}

// One message of the client, which may be several of a chat: results of tools have messages of their own.
class Conversation {
public:
    Status add_system(const json::value& value);
    Status add_messages(const json::value& value);

    json::array messages;
    MessageOrigins origins{"messages", {}};

private:
    void add(const std::string& path, json::object message) {
        messages.push_back(std::move(message));
        origins.of_message.push_back(path);
    }
    Status add_message(const json::object& fields, const std::string& path);
    Status add_user_blocks(const json::array& blocks, const std::string& path);
    Status add_assistant_blocks(const json::array& blocks, const std::string& path);
    Status add_result(const json::object& block, const std::string& message, const std::string& path);
};

Status Conversation::add_system(const json::value& value) {
    Result<std::string> text = joined_text(value, "system");
    if (!text) return text.error();
    if (!text->empty()) add("system", {{"role", "system"}, {"content", *text}});
    return Ok{};
}

Status Conversation::add_result(const json::object& block, const std::string& message, const std::string& path) {
    Result<std::string> id = required_text(block, "tool_use_id", path);
    if (!id) return id.error();
    std::string content;
    if (const json::value* value = find(block, "content")) {
        Result<std::string> text = joined_text(*value, path + ".content");
        if (!text) return text.error();
        content = *std::move(text);
    }
    if (const json::value* failed = find(block, "is_error")) {
        Result<bool> flag = as_bool(*failed, path + ".is_error");
        if (!flag) return flag.error();
        if (*flag) content = "Error: " + content;
    }
    add(message, {{"role", "tool"}, {"tool_call_id", *id}, {"content", content}});
    return Ok{};
}

Status Conversation::add_user_blocks(const json::array& blocks, const std::string& path) {
    json::array parts;
    for (size_t i = 0; i < blocks.size(); ++i) {
        const std::string at = fmt::format("{}.content[{}]", path, i);
        Result<TypedObject> block = as_typed_object(blocks[i], at);
        if (!block) return block.error();
        const auto& [fields, type] = *block;
        if (type == "tool_result") {
            GANTRY_TRY(add_result(*fields, path, at));
        } else if (type == "text") {
            Result<std::string> text = required_text(*fields, "text", at);
            if (!text) return text.error();
            parts.push_back(json::object{{"type", "text"}, {"text", *text}});
        } else if (type == "image") {
            Result<json::value> image = image_part(*fields, at);
            if (!image) return image.error();
            parts.push_back(*std::move(image));
        } else {
            return unsupported_field(at + ".type", fmt::format("'{}.type' must be text, image or tool_result in a message of the user", at));
        }
    }
    if (!parts.empty()) add(path, {{"role", "user"}, {"content", std::move(parts)}});
    return Ok{};
}

Result<json::value> call_of(const json::object& block, const std::string& path) {
    Result<std::string> id = required_text(block, "id", path);
    if (!id) return id.error();
    Result<std::string> name = required_text(block, "name", path);
    if (!name) return name.error();
    json::object input;
    if (const json::value* value = find(block, "input")) {
        Result<const json::object*> object = as_object(*value, path + ".input");
        if (!object) return object.error();
        input = **object;
    }
    return json::value(json::object{{"id", *id}, {"type", "function"},
                                    {"function", json::object{{"name", *name}, {"arguments", json::serialize(input)}}}});
}

Status Conversation::add_assistant_blocks(const json::array& blocks, const std::string& path) {
    std::string text, thinking;
    json::array calls;
    for (size_t i = 0; i < blocks.size(); ++i) {
        const std::string at = fmt::format("{}.content[{}]", path, i);
        Result<TypedObject> block = as_typed_object(blocks[i], at);
        if (!block) return block.error();
        const auto& [fields, type] = *block;
        if (type == "tool_use") {
            Result<json::value> call = call_of(*fields, at);
            if (!call) return call.error();
            calls.push_back(*std::move(call));
        } else if (type == "text" || type == "thinking") {
            Result<std::string> words = required_text(*fields, type, at);
            if (!words) return words.error();
            (type == "text" ? text : thinking) += *words;
        } else if (type != "redacted_thinking") {
            return unsupported_field(at + ".type", fmt::format("'{}.type' must be text, thinking or tool_use in a message of the assistant", at));
        }
    }
    json::object message{{"role", "assistant"}, {"content", text}};
    if (!thinking.empty()) message["reasoning_content"] = thinking;
    if (!calls.empty()) message["tool_calls"] = std::move(calls);
    add(path, std::move(message));
    return Ok{};
}

Status Conversation::add_message(const json::object& fields, const std::string& path) {
    Result<std::string> role = required_text(fields, "role", path);
    if (!role) return role.error();
    if (*role != "user" && *role != "assistant") {
        return invalid_argument(fmt::format("'{}.role' must be user or assistant; 'system' is a field of its own", path), path + ".role");
    }
    const json::value* content = find(fields, "content");
    if (content == nullptr) return missing_field(path + ".content");
    if (content->is_string()) {
        add(path, {{"role", *role}, {"content", *content}});
        return Ok{};
    }
    Result<const json::array*> blocks = as_array(*content, path + ".content");
    if (!blocks) return blocks.error();
    if ((*blocks)->empty()) return invalid_argument(fmt::format("'{}.content' must not be empty", path), path + ".content");
    return *role == "user" ? add_user_blocks(**blocks, path) : add_assistant_blocks(**blocks, path);
}

Status Conversation::add_messages(const json::value& value) {
    Result<const json::array*> items = as_array(value, "messages");
    if (!items) return items.error();
    for (size_t i = 0; i < (*items)->size(); ++i) {
        const std::string path = fmt::format("messages[{}]", i);
        Result<const json::object*> message = as_object((**items)[i], path);
        if (!message) return message.error();
        GANTRY_TRY(add_message(**message, path));
    }
    return Ok{};
}

Status add_tools(const json::value& value, json::object& chat) {
    Result<const json::array*> tools = as_array(value, "tools");
    if (!tools) return tools.error();
    json::array out;
    for (size_t i = 0; i < (*tools)->size(); ++i) {
        const std::string path = fmt::format("tools[{}]", i);
        Result<const json::object*> tool = as_object((**tools)[i], path);
        if (!tool) return tool.error();
        if (const json::value* type = find(**tool, "type"); type != nullptr && *type != "custom") {
            return unsupported_field(path + ".type", fmt::format("'{}.type' must be custom: this server runs no tools of its own", path));
        }
        Result<std::string> name = required_text(**tool, "name", path);
        if (!name) return name.error();
        json::object function{{"name", *name}};
        if (const json::value* description = find(**tool, "description")) function["description"] = *description;
        const json::value* schema = find(**tool, "input_schema");
        if (schema == nullptr) return missing_field(path + ".input_schema");
        function["parameters"] = *schema;
        out.push_back(json::object{{"type", "function"}, {"function", std::move(function)}});
    }
    if (!out.empty()) chat["tools"] = std::move(out);
    return Ok{};
}

Status add_tool_choice(const json::value& value, json::object& chat) {
    Result<TypedObject> choice = as_typed_object(value, "tool_choice");
    if (!choice) return choice.error();
    const auto& [fields, type] = *choice;
    if (const json::value* one = find(*fields, "disable_parallel_tool_use")) {
        Result<bool> flag = as_bool(*one, "tool_choice.disable_parallel_tool_use");
        if (!flag) return flag.error();
        chat["parallel_tool_calls"] = !*flag;
    }
    if (type == "auto" || type == "none") {
        chat["tool_choice"] = type;
    } else if (type == "any") {
        chat["tool_choice"] = "required";
    } else if (type == "tool") {
        Result<std::string> name = required_text(*fields, "name", "tool_choice");
        if (!name) return name.error();
        chat["tool_choice"] = choice_of_function(*name);
    } else {
        return invalid_argument("'tool_choice.type' must be auto, any, tool or none", "tool_choice.type");
    }
    return Ok{};
}

Status add_thinking(const json::value& value, json::object& chat) {
    Result<TypedObject> thinking = as_typed_object(value, "thinking");
    if (!thinking) return thinking.error();
    const std::string& type = thinking->type;
    if (type != "enabled" && type != "disabled" && type != "adaptive") {
        return invalid_argument("'thinking.type' must be enabled, adaptive or disabled", "thinking.type");
    }
    if (type != "adaptive") chat["chat_template_kwargs"] = json::object{{"enable_thinking", type == "enabled"}};
    return Ok{};
}

constexpr std::string_view kSame[] = {"model", "stream", "temperature", "top_p", "top_k", "chat_template_kwargs", "cache_salt",
                                      "deadline_ms", "priority", "seed", "min_p", "repetition_penalty"};

Status add_settings(const json::object& fields, json::object& chat) {
    for (const std::string_view key : kSame) {
        if (const json::value* value = find(fields, key)) chat[key] = *value;
    }
    if (const json::value* most = find(fields, "max_tokens")) chat["max_completion_tokens"] = *most;
    if (const json::value* stop = find(fields, "stop_sequences")) {
        Result<const json::array*> texts = as_array(*stop, "stop_sequences");
        if (!texts) return texts.error();
        if (!(*texts)->empty()) chat["stop"] = *stop;
    }
    if (const json::value* thinking = find(fields, "thinking")) GANTRY_TRY(add_thinking(*thinking, chat));
    if (const json::value* tools = find(fields, "tools")) GANTRY_TRY(add_tools(*tools, chat));
    if (const json::value* choice = find(fields, "tool_choice")) GANTRY_TRY(add_tool_choice(*choice, chat));
    return Ok{};
}

// The chat and where its messages came from.
Result<MessageOrigins> translate(const json::value& body, json::object& chat) {
    Result<const json::object*> object = as_object(body, "");
    if (!object) return object.error();
    const json::object& fields = **object;
    Conversation conversation;
    if (const json::value* system = find(fields, "system")) GANTRY_TRY(conversation.add_system(*system));
    const json::value* messages = find(fields, "messages");
    if (messages == nullptr) return missing_field("messages");
    GANTRY_TRY(conversation.add_messages(*messages));
    GANTRY_TRY(add_settings(fields, chat));
    chat["messages"] = std::move(conversation.messages);
    return std::move(conversation.origins);
}

}  // namespace

Result<Translated> translate_messages(const json::value& body, RandomSource& random) {
    Translated out;
    Result<MessageOrigins> origins = translate(body, out.body);
    if (!origins) return origins.error();
    if (!out.body.contains("max_completion_tokens")) return missing_field("max_tokens");
    const json::value* model = out.body.if_contains("model");
    std::string name = model != nullptr && model->is_string() ? std::string(model->get_string()) : std::string();
    out.translator = message_translator(std::move(name), *std::move(origins), random);
    return out;
}

Result<Translated> translate_count_tokens(const json::value& body) {
    Translated out;
    Result<MessageOrigins> origins = translate(body, out.body);
    if (!origins) return origins.error();
    out.body.erase("stream");
    out.translator = count_translator(*std::move(origins));
    return out;
}

}  // namespace gantry::protocol::anthropic
