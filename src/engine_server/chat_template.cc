#include "engine_server/chat_template.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <utility>

#include <jinja/caps.h>
#include <jinja/lexer.h>
#include <jinja/parser.h>
#include <jinja/runtime.h>

#include "base/json.h"
#include "base/log.h"
#include "engine_server/template_guard.h"

namespace gantry::engine_server {
namespace {

using protocol::openai::ChatRequest;
using protocol::openai::Message;
using protocol::openai::ToolCall;

constexpr const char* kChatMl =
    "{%- for message in messages -%}\n"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' -}}\n"
    "{%- endfor -%}\n"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}";

// The interpreter's errors quote the template; what matters stands in the last "Error: ".
std::string reason_in(const std::string& text) {
    const size_t at = text.rfind("Error: ");
    return log::escape(at == std::string::npos ? text : text.substr(at + 7), 500);
}

// U+FDD0, a code point that stands for no character and is reserved for such uses inside a program.
constexpr std::string_view kCut = "\xEF\xB7\x90";

// Takes the cuts out again. Input that is still marked needs none; elsewhere the prompt falls into
// parts.
void append_parts(std::vector<PromptPart>& parts, std::string_view text, bool is_input) {
    PromptPart part{{}, is_input};
    const auto flush = [&] {
        if (!part.text.empty()) {
            parts.push_back(std::exchange(part, PromptPart{{}, is_input}));
        }
    };
    while (true) {
        const size_t cut = text.find(kCut);
        part.text.append(text.substr(0, cut));
        if (cut == std::string_view::npos) {
            break;
        }
        if (!is_input) {
            flush();
        }
        text.remove_prefix(cut + kCut.size());
    }
    flush();
}

// Builds the values that a template sees. Text of a client is marked where it must not become a
// special token.
class Values {
public:
    Values(const SpecialTextStarts& special_text_starts, bool typed_content, bool object_arguments)
        : special_text_starts_(special_text_starts),
          typed_content_(typed_content),
          object_arguments_(object_arguments) {}

    jinja::value text(const std::string& content) const {
        const std::vector<size_t> starts = special_text_starts_(content);
        std::string broken;
        size_t from = 0;
        for (const size_t start : starts) {
            // Behind the first character, whose further bytes are 10xxxxxx.
            size_t cut = start + 1;
            while (cut < content.size() &&
                   (static_cast<unsigned char>(content[cut]) & 0xC0) == 0x80) {
                ++cut;
            }
            broken.append(content, from, cut - from).append(kCut);
            from = cut;
        }
        broken.append(content, from);
        return jinja::mk_val<jinja::value_string>(jinja::string(broken, !starts.empty()));
    }

    jinja::value message(const Message& message) const {
        auto object = jinja::mk_val<jinja::value_object>();
        object->insert("role", jinja::mk_val<jinja::value_string>(message.role));
        object->insert("content", content(message.content));
        if (!message.name.empty()) {
            object->insert("name", text(message.name));
        }
        if (!message.reasoning_content.empty()) {
            object->insert("reasoning_content", text(message.reasoning_content));
        }
        if (!message.tool_call_id.empty()) {
            object->insert("tool_call_id", text(message.tool_call_id));
        }
        if (!message.tool_calls.empty()) {
            auto calls = jinja::mk_val<jinja::value_array>();
            for (const ToolCall& call : message.tool_calls) {
                calls->push_back(tool_call(call));
            }
            object->insert("tool_calls", calls);
        }
        return object;
    }

private:
    jinja::value content(const std::string& plain) const {
        if (!typed_content_) {
            return text(plain);
        }
        auto part = jinja::mk_val<jinja::value_object>();
        part->insert("type", jinja::mk_val<jinja::value_string>("text"));
        part->insert("text", text(plain));
        auto parts = jinja::mk_val<jinja::value_array>();
        parts->push_back(part);
        return parts;
    }

    jinja::value tool_call(const ToolCall& call) const {
        auto function = jinja::mk_val<jinja::value_object>();
        function->insert("name", text(call.name));
        jinja::value arguments = text(call.arguments);
        if (object_arguments_) {
            if (const Result<json::value> parsed = parse_json(call.arguments)) {
                arguments = from_json(*parsed);
            } else {
                throw jinja::rethrown_exception("the arguments of a tool call are not JSON");
            }
        }
        function->insert("arguments", arguments);
        auto object = jinja::mk_val<jinja::value_object>();
        object->insert("id", text(call.id));
        object->insert("type", jinja::mk_val<jinja::value_string>("function"));
        object->insert("function", function);
        return object;
    }

    jinja::value from_json(const json::value& value) const {
        switch (value.kind()) {
            case json::kind::null: return jinja::mk_val<jinja::value_none>();
            case json::kind::bool_: return jinja::mk_val<jinja::value_bool>(value.get_bool());
            case json::kind::int64: return jinja::mk_val<jinja::value_int>(value.get_int64());
            case json::kind::uint64:
                return jinja::mk_val<jinja::value_float>(static_cast<double>(value.get_uint64()));
            case json::kind::double_: return jinja::mk_val<jinja::value_float>(value.get_double());
            case json::kind::string: return text(std::string(value.get_string()));
            case json::kind::array: {
                auto array = jinja::mk_val<jinja::value_array>();
                for (const json::value& item : value.get_array()) {
                    array->push_back(from_json(item));
                }
                return array;
            }
            case json::kind::object: {
                auto object = jinja::mk_val<jinja::value_object>();
                for (const auto& [key, item] : value.get_object()) {
                    object->insert(text(std::string(key)), from_json(item));
                }
                return object;
            }
        }
        return jinja::mk_val<jinja::value_none>();
    }

    const SpecialTextStarts& special_text_starts_;
    bool typed_content_;
    bool object_arguments_;
};

// A template without a system role gets the system text at the head of the next message.
std::vector<Message> without_system(std::vector<Message> messages) {
    if (messages.front().role == "system" && messages.size() > 1) {
        messages[1].content = messages[0].content + "\n" + messages[1].content;
        messages.erase(messages.begin());
    }
    return messages;
}

}  // namespace

struct ChatTemplate::State {
    jinja::program program;
    jinja::caps caps;
    TemplateLimits limits;
    std::string source;
    std::string begin_text;
    std::string end_text;
};

ChatTemplate::ChatTemplate(std::unique_ptr<State> state) : state_(std::move(state)) {}
ChatTemplate::~ChatTemplate() = default;

Result<std::unique_ptr<ChatTemplate>> ChatTemplate::create(std::string source,
                                                           std::string begin_text,
                                                           std::string end_text,
                                                           const TemplateLimits& limits) {
    if (source.empty() || source == "chatml") {
        source = kChatMl;
    }
    if (source.size() > kTemplateSourceMax) {
        return invalid_argument(fmt::format("the chat template has {} bytes; {} at most",
                                            source.size(), kTemplateSourceMax));
    }
    auto state = std::make_unique<State>();
    try {
        jinja::lexer lexer;
        jinja::lexer_result tokens = lexer.tokenize(source);
        state->program = jinja::parse_from_tokens(tokens);
        state->source = tokens.source;
        guard_template(state->program, limits.range_items);
        // Tries the template on samples. One that runs over its budget on them is found out here.
        const TemplateBudget budget(limits);
        state->caps = jinja::caps_get(state->program);
    } catch (const std::exception& failure) {
        return invalid_argument(
            fmt::format("the chat template can't be read: {}", reason_in(failure.what())));
    }
    state->limits = limits;
    state->begin_text = std::move(begin_text);
    state->end_text = std::move(end_text);
    return std::unique_ptr<ChatTemplate>(new ChatTemplate(std::move(state)));
}

Result<std::vector<PromptPart>> ChatTemplate::render(
    const ChatRequest& request, WallTime now, const SpecialTextStarts& special_text_starts) const {
    try {
        const TemplateBudget budget(state_->limits);
        jinja::context context(state_->source);
        context.current_time = std::chrono::system_clock::to_time_t(now);
        const Values values(special_text_starts, !state_->caps.supports_string_content,
                            state_->caps.supports_object_arguments);
        auto messages = jinja::mk_val<jinja::value_array>();
        const std::vector<Message> adapted = state_->caps.supports_system_role
                                                 ? std::vector<Message>()
                                                 : without_system(request.messages);
        for (const Message& message : adapted.empty() ? request.messages : adapted) {
            messages->push_back(values.message(message));
        }
        const auto own_text = [](const std::string& text) {
            return jinja::mk_val<jinja::value_string>(text);
        };
        context.set_val("messages", messages);
        context.set_val("bos_token", own_text(state_->begin_text));
        context.set_val("eos_token", own_text(state_->end_text));
        context.set_val("add_generation_prompt", jinja::mk_val<jinja::value_bool>(true));
        context.set_val("enable_thinking",
                        jinja::mk_val<jinja::value_bool>(request.enable_thinking.value_or(true)));
        context.set_val("date_string",
                        own_text(fmt::format("{:%d %b %Y}", fmt::gmtime(context.current_time))));
        context.set_val("datetime",
                        own_text(fmt::format("{:%b %d %Y}", fmt::gmtime(context.current_time))));

        jinja::runtime runtime(context);
        const jinja::value results = runtime.execute(state_->program);
        // Named: a range-for over a member of a temporary would outlive it.
        const jinja::value_string text = jinja::runtime::gather_string_parts(results);
        std::vector<PromptPart> parts;
        for (const jinja::string_part& part : text->val_str.parts) {
            append_parts(parts, part.val, part.is_input);
        }
        return parts;
    } catch (const std::exception& failure) {
        return invalid_argument(
            fmt::format("the model's chat template does not take these messages: {}",
                        reason_in(failure.what())),
            "messages", "chat_template_error");
    }
}

}  // namespace gantry::engine_server
