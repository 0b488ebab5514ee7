#include "protocol/anthropic/messages_answer.h"

#include <algorithm>

#include "protocol/anthropic/messages.h"

namespace gantry::protocol::anthropic {
namespace {

using openai::Usage;

std::string path_in_messages(const MessageOrigins& origins, const std::string& path) {
    constexpr std::pair<std::string_view, std::string_view> kNames[] = {
        {"max_completion_tokens", "max_tokens"}, {"tool_choice.function.name", "tool_choice.name"},
        {"parallel_tool_calls", "tool_choice.disable_parallel_tool_use"},
    };
    for (const auto& [from, to] : kNames) {
        if (path == from) return std::string(to);
    }
    if (path.starts_with("stop[") || path == "stop") return "stop_sequences" + path.substr(4);
    constexpr std::string_view kParameters = "].parameters";
    const std::string flat = flat_tool_path(path);
    if (const size_t at = flat.find(kParameters); flat.starts_with("tools[") && at != std::string::npos) {
        return flat.substr(0, at + 1) + ".input_schema" + flat.substr(at + kParameters.size());
    }
    return origins.path_of(flat);
}

// What was read anew, and what came out of the cache.
json::object usage_of_message(const Usage& usage) {
    const uint32_t cached = std::min(usage.cached_tokens, usage.prompt_tokens);
    return {{"input_tokens", usage.prompt_tokens - cached}, {"cache_creation_input_tokens", 0},
            {"cache_read_input_tokens", cached}, {"output_tokens", usage.completion_tokens}};
}

class MessageTranslator final : public ChatTranslator {
public:
    MessageTranslator(std::string model, MessageOrigins origins, RandomSource& random)
        : model_(std::move(model)), origins_(std::move(origins)), random_(random), id_("msg_" + random.token(24)) {}

    void begin(std::string& out) override {
        append_event(out, "message_start", {{"type", "message_start"}, {"message", message(nullptr, Usage{})}});
        append_event(out, "ping", {{"type", "ping"}});
    }
    void broken(const Error& error, std::string& out) override {
        const int status = error.code == ErrorCode::kUnavailable ? 503 : 500;
        append_event(out, "error", error_body(status, error));
    }

protected:
    std::string client_path(const std::string& path) const override { return path_in_messages(origins_, path); }
    void on_reasoning(std::string_view text, std::string& out) override { add(Kind::kThinking, "thinking_delta", "thinking", text, out); }
    void on_text(std::string_view text, const json::array&, std::string& out) override { add(Kind::kText, "text_delta", "text", text, out); }
    void on_call(std::string_view id, std::string_view name, std::string& out) override {
        close(out);
        call_id_ = id.empty() ? "toolu_" + random_.token(24) : std::string(id);
        call_name_ = name;
        open(Kind::kToolUse, out);
    }
    void on_arguments(std::string_view text, std::string& out) override {
        add(Kind::kToolUse, "input_json_delta", "partial_json", text, out);
    }
    json::object finished(const std::optional<Usage>& usage, std::string& out) override;

private:
    enum class Kind { kNone, kThinking, kText, kToolUse };

    json::object message(const char* stop_reason, const Usage& usage) const {
        json::object out{{"id", id_}, {"type", "message"}, {"role", "assistant"}, {"model", model_}, {"content", content_},
                         {"stop_reason", nullptr}, {"stop_sequence", nullptr}, {"usage", usage_of_message(usage)}};
        if (stop_reason != nullptr) out["stop_reason"] = stop_reason;
        if (!stop_text().empty()) out["stop_sequence"] = stop_text();
        return out;
    }
    const char* stop_reason() const {
        if (finish_reason() == "length") return "max_tokens";
        if (finish_reason() == "tool_calls") return "tool_use";
        if (finish_reason() == "content_filter") return "refusal";
        return stop_text().empty() ? "end_turn" : "stop_sequence";
    }
    json::object block() const;
    void open(Kind kind, std::string& out);
    void close(std::string& out);
    void add(Kind kind, const char* delta, const char* key, std::string_view text, std::string& out);

    const std::string model_;
    const MessageOrigins origins_;
    RandomSource& random_;
    const std::string id_;
    json::array content_;   // blocks that are complete
    Kind kind_ = Kind::kNone;
    std::string text_;      // of the open block, or the arguments
    std::string call_id_;
    std::string call_name_;
};

// The open block with what it has. Arguments that are no JSON object are the model's fault, and not lost.
json::object MessageTranslator::block() const {
    if (kind_ == Kind::kThinking) return {{"type", "thinking"}, {"thinking", text_}, {"signature", ""}};
    if (kind_ == Kind::kText) return {{"type", "text"}, {"text", text_}};
    json::object input;
    const Result<json::value> parsed = parse_json(text_);
    if (parsed && parsed->is_object()) {
        input = parsed->get_object();
    } else if (!text_.empty()) {
        input["arguments"] = text_;
    }
    return {{"type", "tool_use"}, {"id", call_id_}, {"name", call_name_}, {"input", std::move(input)}};
}

void MessageTranslator::open(Kind kind, std::string& out) {
    close(out);
    kind_ = kind;
    text_.clear();
    append_event(out, "content_block_start", {{"type", "content_block_start"}, {"index", content_.size()}, {"content_block", block()}});
}

void MessageTranslator::close(std::string& out) {
    if (kind_ == Kind::kNone) return;
    append_event(out, "content_block_stop", {{"type", "content_block_stop"}, {"index", content_.size()}});
    content_.push_back(block());
    kind_ = Kind::kNone;
}

void MessageTranslator::add(Kind kind, const char* delta, const char* key, std::string_view text, std::string& out) {
    if (kind_ != kind) open(kind, out);
    text_ += text;
    append_event(out, "content_block_delta",
                 {{"type", "content_block_delta"}, {"index", content_.size()}, {"delta", json::object{{"type", delta}, {key, text}}}});
}

json::object MessageTranslator::finished(const std::optional<Usage>& usage, std::string& out) {
    close(out);
    json::object whole = message(stop_reason(), usage.value_or(Usage{}));
    json::object delta{{"stop_reason", whole.at("stop_reason")}, {"stop_sequence", whole.at("stop_sequence")}};
    append_event(out, "message_delta", {{"type", "message_delta"}, {"delta", std::move(delta)}, {"usage", whole.at("usage")}});
    append_event(out, "message_stop", {{"type", "message_stop"}});
    return whole;
}

class CountTranslator final : public Translator {
public:
    explicit CountTranslator(MessageOrigins origins) : origins_(std::move(origins)) {}
    json::value whole(const json::object& answer) override {
        const json::value* tokens = answer.if_contains("tokens");
        const bool listed = tokens != nullptr && tokens->is_array();
        return json::object{{"input_tokens", listed ? tokens->get_array().size() : 0}};
    }

protected:
    std::string client_path(const std::string& path) const override { return path_in_messages(origins_, path); }

private:
    const MessageOrigins origins_;
};

const char* error_type(int status) {
    switch (status) {
        case 401: return "authentication_error";
        case 403: return "permission_error";
        case 404: return "not_found_error";
        case 413: return "request_too_large";
        case 429: return "rate_limit_error";
        case 503: return "overloaded_error";
        case 504: return "timeout_error";
        default: return status >= 500 ? "api_error" : "invalid_request_error";
    }
}

}  // namespace

json::object error_body(int status, const Error& error) {
    return {{"type", "error"}, {"error", json::object{{"type", error_type(status)}, {"message", error.message}}}};
}

std::unique_ptr<Translator> message_translator(std::string model, MessageOrigins origins, RandomSource& random) {
    return std::make_unique<MessageTranslator>(std::move(model), std::move(origins), random);
}

std::unique_ptr<Translator> count_translator(MessageOrigins origins) {
    return std::make_unique<CountTranslator>(std::move(origins));
}

}  // namespace gantry::protocol::anthropic
