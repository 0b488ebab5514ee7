#include "protocol/translator.h"

#include <charconv>

#include "protocol/openai/fields.h"
#include "protocol/openai/upstream.h"

namespace gantry::protocol {
namespace {

using openai::array_at;
using openai::object_at;
using openai::text_at;

const json::object* first_choice(const json::object& answer) {
    const json::array* choices = array_at(answer, "choices");
    return choices == nullptr || choices->empty() ? nullptr : choices->front().if_object();
}

// 'messages[2].content' in a sentence becomes 'input[1].content'.
void replace_path(std::string& message, const std::string& from, const std::string& to) {
    const std::string quoted = "'" + from;
    for (size_t at = message.find(quoted); at != std::string::npos; at = message.find(quoted, at + to.size() + 1)) {
        message.replace(at, quoted.size(), "'" + to);
    }
}

}  // namespace

Error Translator::renamed(Error error) const {
    if (error.param.empty()) return error;
    const std::string path = client_path(error.param);
    if (path != error.param) replace_path(error.message, error.param, path);
    error.param = path;
    return error;
}

std::string MessageOrigins::path_of(const std::string& chat_path) const {
    constexpr std::string_view kStart = "messages[";
    if (!chat_path.starts_with(kStart)) return chat_path == "messages" ? list : chat_path;
    size_t index = 0;
    const char* const end = chat_path.data() + chat_path.size();
    const auto [rest, failure] = std::from_chars(chat_path.data() + kStart.size(), end, index);
    if (failure != std::errc() || rest == end || *rest != ']' || index >= of_message.size()) return chat_path;
    return of_message[index] + std::string(rest + 1, end);
}

std::string flat_tool_path(const std::string& chat_path) {
    constexpr std::string_view kInside = "].function";
    const size_t at = chat_path.starts_with("tools[") ? chat_path.find(kInside) : std::string::npos;
    return at == std::string::npos ? chat_path : chat_path.substr(0, at + 1) + chat_path.substr(at + kInside.size());
}

json::object choice_of_function(const std::string& name) {
    return {{"type", "function"}, {"function", json::object{{"name", name}}}};
}

json::value ChatTranslator::whole(const json::object& answer) {
    std::string unread;
    if (const json::object* choice = first_choice(answer)) {
        if (const json::object* message = object_at(*choice, "message")) take(*message, *choice, unread);
    }
    return finished(openai::usage_of(answer), unread);
}

void ChatTranslator::chunk(const json::object& chunk, std::string& out) {
    const json::object* choice = first_choice(chunk);
    if (choice == nullptr) return;
    static const json::object kNothing;
    const json::object* delta = object_at(*choice, "delta");
    take(delta == nullptr ? kNothing : *delta, *choice, out);
}

void ChatTranslator::take(const json::object& message, const json::object& choice, std::string& out) {
    std::string_view reasoning = text_at(message, "reasoning_content");
    if (reasoning.empty()) reasoning = text_at(message, "reasoning");
    if (!reasoning.empty()) on_reasoning(reasoning, out);
    static const json::array kNone;
    const json::object* logprobs = object_at(choice, "logprobs");
    const json::array* tokens = logprobs == nullptr ? nullptr : array_at(*logprobs, "content");
    if (const std::string_view text = text_at(message, "content"); !text.empty()) on_text(text, tokens == nullptr ? kNone : *tokens, out);
    if (const json::array* calls = array_at(message, "tool_calls")) {
        for (size_t i = 0; i < calls->size(); ++i) {
            if ((*calls)[i].is_object()) take_call((*calls)[i].get_object(), i, out);
        }
    }
    if (const std::string_view reason = text_at(choice, "finish_reason"); !reason.empty()) finish_reason_ = reason;
    if (const std::string_view stop = text_at(choice, "stop_reason"); !stop.empty()) stop_text_ = stop;
}

// Pieces of one call have one index; whole calls have none but their place.
void ChatTranslator::take_call(const json::object& call, size_t place, std::string& out) {
    const json::object* function = object_at(call, "function");
    if (function == nullptr) return;
    uint64_t index = place;
    if (const json::value* named = call.if_contains("index"); named != nullptr && named->is_int64()) {
        index = static_cast<uint64_t>(named->get_int64());
    }
    if (call_index_ != index) {
        call_index_ = index;
        on_call(text_at(call, "id"), text_at(*function, "name"), out);
    }
    if (const std::string_view text = text_at(*function, "arguments"); !text.empty()) on_arguments(text, out);
}

void append_event(std::string& out, std::string_view name, const json::object& data) {
    out.append("event: ").append(name).append("\ndata: ").append(json::serialize(data)).append("\n\n");
}

}  // namespace gantry::protocol
