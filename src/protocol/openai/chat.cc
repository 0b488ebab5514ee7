#include "protocol/openai/chat.h"

#include <fmt/format.h>

#include <set>

#include "protocol/openai/chat_tools.h"
#include "protocol/openai/fields.h"
#include "protocol/openai/pictures.h"

namespace gantry::protocol::openai {
namespace {

void append_text(Message& message, const std::string& text) {
    if (!message.content.empty()) {
        message.content += '\n';
    }
    message.content += text;
}

Status look_at_picture(ChatRequest& request, const json::object& image, const std::string& path) {
    const std::string url_path = path + ".url";
    const json::value* url = find(image, "url");
    if (url == nullptr) {
        return missing_field(url_path);
    }
    if (!url->is_string()) {
        return wrong_type(url_path, "a string", *url);
    }
    if (!request.unfit_picture) {
        if (Status fit = check_picture(url->get_string(), url_path); !fit) {
            request.unfit_picture = std::move(fit).error();
        }
    }
    return Ok{};
}

// Text is kept; images and audio are recognised, so that a text-only model can say clearly that it
// takes none.
Status parse_part(ChatRequest& request, Message& message, const json::value& value,
                  const std::string& path) {
    Result<TypedObject> part = as_typed_object(value, path);
    if (!part) {
        return part.error();
    }
    const auto& [fields, type] = *part;
    const bool refusal = type == "refusal" && message.role == "assistant";
    if (type == "text" || refusal) {
        Result<std::string> text = required_text(*fields, type, path);
        if (!text) {
            return text.error();
        }
        append_text(message, *text);
        return Ok{};
    }
    if (type == "image_url" || type == "input_audio") {
        const std::string media_path = path + "." + type;
        const json::value* media = find(*fields, type);
        if (media == nullptr) {
            return missing_field(media_path);
        }
        Result<const json::object*> object = as_object(*media, media_path);
        if (!object) {
            return object.error();
        }
        if (request.first_media.empty()) {
            request.first_media = path;
        }
        if (type == "image_url") {
            return look_at_picture(request, **object, media_path);
        }
        return Ok{};
    }
    return invalid_argument(fmt::format("'{}.type' must be text, image_url or input_audio", path),
                            path + ".type");
}

Status parse_content(ChatRequest& request, Message& message, const json::object& fields,
                     const std::string& path) {
    const json::value* content = find(fields, "content");
    if (content != nullptr && content->is_string()) {
        message.content = std::string(content->get_string());
        return Ok{};
    }
    const std::string content_path = path + ".content";
    if (content == nullptr) {
        const bool refused = message.role == "assistant" && find(fields, "refusal") != nullptr;
        if (message.tool_calls.empty() && !refused) {
            return invalid_argument(
                fmt::format(
                    "'{}' is missing: it must be a string or an array of parts (null is for "
                    "assistant messages with tool_calls)",
                    content_path),
                content_path, "missing_required_parameter");
        }
        return Ok{};
    }
    if (!content->is_array()) {
        return wrong_type(content_path, "a string or an array of parts", *content);
    }
    const json::array& parts = content->get_array();
    if (parts.empty() || parts.size() > kPartsMax) {
        return invalid_argument(
            fmt::format("'{}' must have 1 to {} parts", content_path, kPartsMax), content_path);
    }
    for (size_t i = 0; i < parts.size(); ++i) {
        GANTRY_TRY(parse_part(request, message, parts[i], fmt::format("{}[{}]", content_path, i)));
    }
    return Ok{};
}

Status parse_optional_text(const json::object& fields, std::string_view key,
                           const std::string& path, std::string& out) {
    if (const json::value* value = find(fields, key)) {
        Result<std::string> text = as_string(*value, fmt::format("{}.{}", path, key));
        if (!text) {
            return text.error();
        }
        out = *std::move(text);
    }
    return Ok{};
}

Result<std::string> parse_role(const json::object& fields, const std::string& path) {
    Result<std::string> role = required_text(fields, "role", path);
    if (!role) {
        return role.error();
    }
    if (*role == "developer") {
        return std::string("system");
    }
    if (*role != "system" && *role != "user" && *role != "assistant" && *role != "tool") {
        const std::string role_path = path + ".role";
        return invalid_argument(
            fmt::format("'{}' must be one of system, developer, user, assistant, tool", role_path),
            role_path);
    }
    return role;
}

Status parse_message(ChatRequest& request, std::set<std::string>& call_ids,
                     const json::value& value, const std::string& path) {
    Result<const json::object*> object = as_object(value, path);
    if (!object) {
        return object.error();
    }
    const json::object& fields = **object;
    Message message;
    Result<std::string> role = parse_role(fields, path);
    if (!role) {
        return role.error();
    }
    message.role = *std::move(role);
    GANTRY_TRY(parse_optional_text(fields, "name", path, message.name));
    if (message.role == "assistant") {
        GANTRY_TRY(parse_optional_text(fields, "reasoning", path, message.reasoning_content));
        GANTRY_TRY(
            parse_optional_text(fields, "reasoning_content", path, message.reasoning_content));
        if (const json::value* calls = find(fields, "tool_calls")) {
            Result<std::vector<ToolCall>> parsed = parse_tool_calls(*calls, path + ".tool_calls");
            if (!parsed) {
                return parsed.error();
            }
            message.tool_calls = *std::move(parsed);
            for (const ToolCall& call : message.tool_calls) {
                call_ids.insert(call.id);
            }
        }
    }
    if (message.role == "tool") {
        const std::string id_path = path + ".tool_call_id";
        GANTRY_TRY(parse_optional_text(fields, "tool_call_id", path, message.tool_call_id));
        if (call_ids.count(message.tool_call_id) == 0) {
            return invalid_argument(
                fmt::format("'{}' must be the id of one of the tool_calls before it", id_path),
                id_path);
        }
    }
    GANTRY_TRY(parse_content(request, message, fields, path));
    request.messages.push_back(std::move(message));
    return Ok{};
}

Status parse_messages(ChatRequest& request, const json::object& fields) {
    const json::value* value = find(fields, "messages");
    if (value == nullptr) {
        return missing_field("messages");
    }
    Result<const json::array*> items = as_array(*value, "messages");
    if (!items) {
        return items.error();
    }
    if ((*items)->empty() || (*items)->size() > kMessagesMax) {
        return invalid_argument(fmt::format("'messages' must have 1 to {} messages, not {}",
                                            kMessagesMax, (*items)->size()),
                                "messages");
    }
    std::set<std::string> call_ids;
    for (size_t i = 0; i < (*items)->size(); ++i) {
        GANTRY_TRY(parse_message(request, call_ids, (**items)[i],
                                 "messages[" + std::to_string(i) + "]"));
    }
    return Ok{};
}

Status parse_logprobs(Generation& generation, const json::object& fields) {
    if (const json::value* value = find(fields, "logprobs")) {
        Result<bool> flag = as_bool(*value, "logprobs");
        if (!flag) {
            return flag.error();
        }
        generation.logprobs = *flag;
    }
    if (const json::value* value = find(fields, "top_logprobs")) {
        Result<int64_t> count = as_integer(*value, "top_logprobs", 0, kTopLogprobsMax);
        if (!count) {
            return count.error();
        }
        if (!generation.logprobs) {
            return invalid_argument("'top_logprobs' needs 'logprobs': true", "top_logprobs");
        }
        generation.top_logprobs = static_cast<uint32_t>(*count);
    }
    return Ok{};
}

Status parse_template_kwargs(ChatRequest& request, const json::object& fields) {
    const json::value* value = find(fields, "chat_template_kwargs");
    if (value == nullptr) {
        return Ok{};
    }
    Result<const json::object*> kwargs = as_object(*value, "chat_template_kwargs");
    if (!kwargs) {
        return kwargs.error();
    }
    if (const json::value* thinking = find(**kwargs, "enable_thinking")) {
        Result<bool> flag = as_bool(*thinking, "chat_template_kwargs.enable_thinking");
        if (!flag) {
            return flag.error();
        }
        request.enable_thinking = *flag;
    }
    return Ok{};
}

}  // namespace

Result<ChatRequest> parse_chat(const json::value& body) {
    Result<const json::object*> object = as_object(body, "");
    if (!object) {
        return object.error();
    }
    const json::object& fields = **object;
    ChatRequest request;
    Result<std::string> model = parse_model(fields);
    if (!model) {
        return model.error();
    }
    request.model = *std::move(model);
    GANTRY_TRY(parse_messages(request, fields));
    GANTRY_TRY(parse_generation(fields, request.generation));
    GANTRY_TRY(parse_logprobs(request.generation, fields));
    GANTRY_TRY(parse_response_format(fields, request.response_format));
    GANTRY_TRY(parse_template_kwargs(request, fields));
    GANTRY_TRY(parse_tools(fields, request));
    return request;
}

Status check_supported(const ChatRequest& request, const Capabilities& capabilities) {
    if (!request.first_media.empty() && !capabilities.media) {
        return invalid_argument(
            "this model takes text only: send text parts, or choose a model for images or audio",
            request.first_media, "unsupported_content");
    }
    if (!request.tools.empty() && !capabilities.tools) {
        return invalid_argument(
            "tools are not supported by this engine yet: leave them out, or set tool_choice to "
            "\"none\"",
            "tools", "unsupported_parameter");
    }
    if (request.response_format.kind != ResponseFormat::Kind::kText &&
        !capabilities.structured_output) {
        return invalid_argument(
            "this engine can't hold an answer to a response_format: use text",
            "response_format.type", "unsupported_parameter");
    }
    return Ok{};
}

}  // namespace gantry::protocol::openai
