#include "protocol/openai/responses_answer.h"

#include "protocol/openai/errors.h"

namespace gantry::protocol::openai {
namespace {

json::object usage_of_response(const Usage& usage) {
    return {{"input_tokens", usage.prompt_tokens},
            {"input_tokens_details", json::object{{"cached_tokens", usage.cached_tokens}}},
            {"output_tokens", usage.completion_tokens},
            {"output_tokens_details", json::object{{"reasoning_tokens", usage.reasoning_tokens}}},
            {"total_tokens", uint64_t{usage.prompt_tokens} + usage.completion_tokens}};
}

class ResponsesTranslator final : public ChatTranslator {
public:
    ResponsesTranslator(ResponsesEcho echo, RandomSource& random)
        : echo_(std::move(echo)), random_(random), id_("resp_" + random.token(24)) {}

    void begin(std::string& out) override {
        event(out, "response.created", {{"response", response("in_progress")}});
        event(out, "response.in_progress", {{"response", response("in_progress")}});
    }
    void broken(const Error& error, std::string& out) override {
        json::object failed = response("failed");
        const json::object body = error_body(error);
        failed["error"] = json::object{{"code", body.at("error").at("code")}, {"message", error.message}};
        event(out, "response.failed", {{"response", std::move(failed)}});
    }

protected:
    std::string client_path(const std::string& path) const override;
    void on_reasoning(std::string_view text, std::string& out) override;
    void on_text(std::string_view text, const json::array& logprobs, std::string& out) override;
    void on_call(std::string_view id, std::string_view name, std::string& out) override;
    void on_arguments(std::string_view text, std::string& out) override;
    json::object finished(const std::optional<Usage>& usage, std::string& out) override;

private:
    enum class Kind { kNone, kReasoning, kMessage, kCall };

    void event(std::string& out, const char* type, json::object fields);
    // An event about the item that is open, with its place.
    void item_event(std::string& out, const char* type, json::object fields, bool part = false);
    json::object response(const char* status) const;
    json::object part() const;
    json::object item(const char* status) const;
    void open(Kind kind, std::string& out);
    void close(std::string& out);

    ResponsesEcho echo_;
    RandomSource& random_;
    const std::string id_;
    uint64_t sequence_ = 0;
    json::array output_;        // items that are complete
    // The item that is open.
    Kind kind_ = Kind::kNone;
    std::string item_id_;
    std::string text_;          // or arguments
    json::array logprobs_;
    std::string call_id_;
    std::string call_name_;
};

std::string ResponsesTranslator::client_path(const std::string& path) const {
    constexpr std::pair<std::string_view, std::string_view> kStarts[] = {
        {"response_format.json_schema", "text.format"}, {"response_format", "text.format"}, {"max_completion_tokens", "max_output_tokens"},
        {"reasoning_effort", "reasoning.effort"}, {"tool_choice.function", "tool_choice"}, {"logprobs", "top_logprobs"},
    };
    for (const auto& [from, to] : kStarts) {
        if (path.starts_with(from)) return std::string(to) + path.substr(from.size());
    }
    return echo_.origins.path_of(flat_tool_path(path));
}

void ResponsesTranslator::event(std::string& out, const char* type, json::object fields) {
    json::object data{{"type", type}, {"sequence_number", sequence_++}};
    for (auto& [key, value] : fields) data[key] = std::move(value);
    append_event(out, type, data);
}

void ResponsesTranslator::item_event(std::string& out, const char* type, json::object fields, bool part) {
    fields["item_id"] = item_id_;
    fields["output_index"] = output_.size();
    if (part) fields["content_index"] = 0;
    event(out, type, std::move(fields));
}

json::object ResponsesTranslator::response(const char* status) const {
    json::object out{{"id", id_}, {"object", "response"}, {"status", status}, {"error", nullptr}, {"incomplete_details", nullptr},
                     {"output", output_}, {"usage", nullptr}};
    for (const auto& [key, value] : echo_.fields) out[key] = value;
    return out;
}

json::object ResponsesTranslator::part() const {
    if (kind_ == Kind::kReasoning) return {{"type", "reasoning_text"}, {"text", text_}};
    return {{"type", "output_text"}, {"text", text_}, {"annotations", json::array()}, {"logprobs", logprobs_}};
}

// The open item: empty while in progress, else with what it got.
json::object ResponsesTranslator::item(const char* status) const {
    const bool whole = std::string_view(status) != "in_progress";
    if (kind_ == Kind::kCall) {
        return {{"type", "function_call"}, {"id", item_id_}, {"status", status}, {"call_id", call_id_}, {"name", call_name_},
                {"arguments", whole ? text_ : ""}};
    }
    const json::array content = whole ? json::array{part()} : json::array();
    if (kind_ == Kind::kReasoning) {
        return {{"type", "reasoning"}, {"id", item_id_}, {"status", status}, {"summary", json::array()}, {"content", content}};
    }
    return {{"type", "message"}, {"id", item_id_}, {"status", status}, {"role", "assistant"}, {"content", content}};
}

void ResponsesTranslator::open(Kind kind, std::string& out) {
    close(out);
    kind_ = kind;
    item_id_ = (kind == Kind::kReasoning ? "rs_" : kind == Kind::kMessage ? "msg_" : "fc_") + random_.token(24);
    text_.clear();
    logprobs_.clear();
    event(out, "response.output_item.added", {{"output_index", output_.size()}, {"item", item("in_progress")}});
    if (kind != Kind::kCall) item_event(out, "response.content_part.added", {{"part", part()}}, true);
}

void ResponsesTranslator::close(std::string& out) {
    if (kind_ == Kind::kNone) return;
    if (kind_ == Kind::kCall) {
        item_event(out, "response.function_call_arguments.done", {{"name", call_name_}, {"arguments", text_}});
    } else if (kind_ == Kind::kReasoning) {
        item_event(out, "response.reasoning_text.done", {{"text", text_}}, true);
        item_event(out, "response.content_part.done", {{"part", part()}}, true);
    } else {
        item_event(out, "response.output_text.done", {{"text", text_}, {"logprobs", logprobs_}}, true);
        item_event(out, "response.content_part.done", {{"part", part()}}, true);
    }
    json::object done = item(finish_reason() == "length" ? "incomplete" : "completed");
    event(out, "response.output_item.done", {{"output_index", output_.size()}, {"item", done}});
    output_.push_back(std::move(done));
    kind_ = Kind::kNone;
}

void ResponsesTranslator::on_reasoning(std::string_view text, std::string& out) {
    if (kind_ != Kind::kReasoning) open(Kind::kReasoning, out);
    text_ += text;
    item_event(out, "response.reasoning_text.delta", {{"delta", text}}, true);
}

void ResponsesTranslator::on_text(std::string_view text, const json::array& logprobs, std::string& out) {
    if (kind_ != Kind::kMessage) open(Kind::kMessage, out);
    text_ += text;
    logprobs_.insert(logprobs_.end(), logprobs.begin(), logprobs.end());
    item_event(out, "response.output_text.delta", {{"delta", text}, {"logprobs", logprobs}}, true);
}

void ResponsesTranslator::on_call(std::string_view id, std::string_view name, std::string& out) {
    close(out);
    call_id_ = id;
    call_name_ = name;
    open(Kind::kCall, out);
}

void ResponsesTranslator::on_arguments(std::string_view text, std::string& out) {
    text_ += text;
    item_event(out, "response.function_call_arguments.delta", {{"delta", text}});
}

json::object ResponsesTranslator::finished(const std::optional<Usage>& usage, std::string& out) {
    if (kind_ == Kind::kNone && output_.empty()) open(Kind::kMessage, out);   // an answer of no words is one, too
    close(out);
    const bool cut = finish_reason() == "length";
    const char* status = cut ? "incomplete" : "completed";
    json::object whole = response(status);
    if (cut) whole["incomplete_details"] = json::object{{"reason", "max_output_tokens"}};
    if (finish_reason() == "content_filter") whole["incomplete_details"] = json::object{{"reason", "content_filter"}};
    if (usage) whole["usage"] = usage_of_response(*usage);
    event(out, cut ? "response.incomplete" : "response.completed", {{"response", whole}});
    return whole;
}

}  // namespace

std::unique_ptr<Translator> responses_translator(ResponsesEcho echo, RandomSource& random) {
    return std::make_unique<ResponsesTranslator>(std::move(echo), random);
}

}  // namespace gantry::protocol::openai
