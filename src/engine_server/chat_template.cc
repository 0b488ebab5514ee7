#include "engine_server/chat_template.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include <chat.h>
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
using protocol::openai::ToolChoice;

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

    jinja::value tools(const json::array& tools) const { return from_json(tools); }

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

// In a history made up to see how a call is written.
constexpr std::string_view kArgument = "gantry_argument";
// Bytes that a prompt may have where an answer of its own would begin, such as an empty thought.
constexpr size_t kOpeningMax = 256;
constexpr size_t kPromptEnd = 512;

std::string text_of(const std::vector<PromptPart>& parts) {
    std::string text;
    for (const PromptPart& part : parts) {
        text += part.text;
    }
    return text;
}

// The last bytes that the template itself wrote.
std::string end_of(const std::vector<PromptPart>& parts) {
    std::string text;
    for (size_t i = parts.size(); i > 0 && !parts[i - 1].is_input && text.size() < kPromptEnd; --i) {
        text.insert(0, parts[i - 1].text);
    }
    return text.size() > kPromptEnd ? text.substr(text.size() - kPromptEnd) : text;
}

size_t common_prefix(std::string_view a, std::string_view b) {
    const size_t length = std::min(a.size(), b.size());
    return static_cast<size_t>(std::mismatch(a.begin(), a.begin() + length, b.begin()).first - a.begin());
}

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
    State(std::string begin_text, std::string end_text, const TemplateLimits& bounds)
        // Of nothing, since its constructor would run a template that is not guarded yet.
        : base("", begin_text, end_text), limits(bounds) {}

    common_chat_template base;
    TemplateLimits limits;
    std::optional<AnswerFormat> format;

    jinja::value messages(const std::vector<Message>& given, const Values& values) const;
    std::vector<PromptPart> render(const ChatRequest& request, const std::vector<Message>& given,
                                   bool for_answer, WallTime now, const Values& values) const;
    Status force_calls(const ChatRequest& request, WallTime now, const Values& values,
                       ChatPrompt& prompt, AnswerSyntax& syntax) const;
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
    auto state =
        std::make_unique<State>(std::move(begin_text), std::move(end_text), limits);
    try {
        jinja::lexer lexer;
        jinja::lexer_result tokens = lexer.tokenize(source);
        state->base.prog = jinja::parse_from_tokens(tokens);
        state->base.src = tokens.source;
        guard_template(state->base.prog, limits.range_items);
        // Tries the template on samples. One that runs over its budget on them is found out here.
        const TemplateBudget budget(limits);
        state->base.caps = jinja::caps_get(state->base.prog);
    } catch (const std::exception& failure) {
        return invalid_argument(
            fmt::format("the chat template can't be read: {}", reason_in(failure.what())));
    }
    const TemplateBudget budget(limits);
    state->format = AnswerFormat::find(state->base);
    return std::unique_ptr<ChatTemplate>(new ChatTemplate(std::move(state)));
}

const std::vector<std::string>& ChatTemplate::kept_tokens() const {
    return state_->format->kept_tokens();
}

jinja::value ChatTemplate::State::messages(const std::vector<Message>& given,
                                           const Values& values) const {
    auto array = jinja::mk_val<jinja::value_array>();
    for (const Message& message : base.caps.supports_system_role ? given : without_system(given)) {
        array->push_back(values.message(message));
    }
    return array;
}

// Throws what the template throws. `for_answer`: up to where the answer begins.
std::vector<PromptPart> ChatTemplate::State::render(const ChatRequest& request,
                                                    const std::vector<Message>& given,
                                                    bool for_answer, WallTime now,
                                                    const Values& values) const {
    jinja::context context(base.src);
    context.current_time = std::chrono::system_clock::to_time_t(now);
    const auto own_text = [](const std::string& text) {
        return jinja::mk_val<jinja::value_string>(text);
    };
    context.set_val("messages", messages(given, values));
    if (!request.tools.empty()) {
        context.set_val("tools", values.tools(request.tools));
    }
    context.set_val("bos_token", own_text(base.bos_tok));
    context.set_val("eos_token", own_text(base.eos_tok));
    context.set_val("add_generation_prompt", jinja::mk_val<jinja::value_bool>(for_answer));
    context.set_val("enable_thinking",
                    jinja::mk_val<jinja::value_bool>(request.enable_thinking.value_or(true)));
    context.set_val("date_string",
                    own_text(fmt::format("{:%d %b %Y}", fmt::gmtime(context.current_time))));
    context.set_val("datetime",
                    own_text(fmt::format("{:%b %d %Y}", fmt::gmtime(context.current_time))));

    jinja::runtime runtime(context);
    const jinja::value results = runtime.execute(base.prog);
    // Named: a range-for over a member of a temporary would outlive it.
    const jinja::value_string text = jinja::runtime::gather_string_parts(results);
    std::vector<PromptPart> parts;
    for (const jinja::string_part& part : text->val_str.parts) {
        append_parts(parts, part.val, part.is_input);
    }
    return parts;
}

// What the model would write before the arguments of each call: found by rendering a history in
// which it made that call.
Status ChatTemplate::State::force_calls(const ChatRequest& request, WallTime now,
                                        const Values& values, ChatPrompt& prompt,
                                        AnswerSyntax& syntax) const {
    const std::string before = text_of(prompt.parts);
    std::vector<ForcedCall> calls;
    for (const json::value& tool : request.tools) {
        const std::string name(tool.at("function").at("name").as_string());
        if (request.tool_choice == ToolChoice::kNamed && name != request.tool_choice_name) {
            continue;
        }
        std::vector<Message> history = request.messages;
        Message& call = history.emplace_back();
        call.role = "assistant";
        call.tool_calls.push_back({"call00001", name, fmt::format(R"({{"{}":1}})", kArgument)});
        const std::string after = text_of(render(request, history, false, now, values));
        const size_t common = common_prefix(before, after);
        const size_t argument = after.find(fmt::format("\"{}\"", kArgument), common);
        const size_t begin = argument == std::string::npos ? argument : after.rfind('{', argument);
        if (begin == std::string::npos || begin < common ||
            after.find_first_not_of(" \t\r\n", begin + 1) != argument ||
            before.size() - common > kOpeningMax) {
            return invalid_argument(
                "this model's way of writing tool calls can't be forced: use tool_choice \"auto\"",
                "tool_choice", "unsupported_parameter");
        }
        calls.push_back({name, after.substr(common, begin - common)});
    }
    size_t shared = calls.front().begin.size();
    for (const ForcedCall& call : calls) {
        shared = std::min(shared, common_prefix(call.begin, calls.front().begin));
    }
    while (shared > 0 && shared < calls.front().begin.size() &&
           (static_cast<unsigned char>(calls.front().begin[shared]) & 0xC0) == 0x80) {
        --shared;  // no half characters
    }
    if (shared > 0) {
        prompt.parts.push_back({calls.front().begin.substr(0, shared), false});
    }
    for (ForcedCall& call : calls) {
        call.begin.erase(0, shared);
    }
    syntax = AnswerSyntax();
    syntax.forced = std::move(calls);
    return Ok{};
}

Result<ChatPrompt> ChatTemplate::render(const ChatRequest& request, WallTime now,
                                        const SpecialTextStarts& special_text_starts,
                                        bool constrained) const {
    if (!request.tools.empty() && !state_->format->knows_tools()) {
        return invalid_argument(
            "this model's chat template knows no tools: choose another model, or set tool_choice "
            "to \"none\"",
            "tools", "unsupported_parameter");
    }
    try {
        const TemplateBudget budget(state_->limits);
        const jinja::caps& caps = state_->base.caps;
        const Values values(special_text_starts, !caps.supports_string_content,
                            caps.supports_object_arguments);
        ChatPrompt prompt;
        prompt.parts = state_->render(request, request.messages, true, now, values);
        AnswerSyntax syntax = state_->format->syntax(request, end_of(prompt.parts));
        const bool forced = !request.tools.empty() && request.tool_choice != ToolChoice::kAuto;
        if ((constrained || forced) && syntax.reasoning_open) {
            prompt.parts.push_back({syntax.reasoning_end + "\n\n", false});
        }
        if (forced) {
            GANTRY_TRY(state_->force_calls(request, now, values, prompt, syntax));
        }
        const bool plain = syntax.reasoning_end.empty() && !syntax.reader && !forced;
        if (!plain && (forced || !constrained)) {
            prompt.syntax = std::make_shared<const AnswerSyntax>(std::move(syntax));
        }
        return prompt;
    } catch (const std::exception& failure) {
        return invalid_argument(
            fmt::format("the model's chat template does not take these messages: {}",
                        reason_in(failure.what())),
            "messages", "chat_template_error");
    }
}

}  // namespace gantry::engine_server
