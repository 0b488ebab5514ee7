#include "protocol/openai/responses.h"

#include <charconv>
#include <chrono>

#include "base/assert.h"
#include "base/json.h"
#include "protocol/openai/utf8.h"

namespace gantry::protocol::openai {
namespace {

void append_number(std::string& out, double number) { out += json::serialize(json::value(number)); }

void append_integer(std::string& out, uint64_t number) {
    char digits[20];
    out.append(digits, std::to_chars(digits, digits + sizeof(digits), number).ptr);
}

// "token", "logprob" and "bytes" of an object that goes on.
void append_logprob(std::string& out, const std::string& token, double logprob) {
    out += R"({"token":)";
    append_json(out, to_utf8(token));
    out += R"(,"logprob":)";
    append_number(out, logprob);
    out += R"(,"bytes":[)";
    for (size_t i = 0; i < token.size(); ++i) {
        out += i == 0 ? "" : ",";
        append_integer(out, static_cast<unsigned char>(token[i]));
    }
    out += ']';
}

json::object timings_object(const AnswerTimings& timings) {
    json::object object;
    object["queue_ms"] = timings.queue_ms;
    object["prefill_ms"] = timings.prefill_ms;
    object["decode_ms"] = timings.decode_ms;
    return object;
}

void append_totals(std::string& out, const Usage& usage, const AnswerTimings& timings) {
    out += R"(,"usage":)";
    out += json::serialize(usage_object(usage));
    out += R"(,"timings":)";
    out += json::serialize(timings_object(timings));
    out += '}';
}

// "id", "type" and "function", without the braces around.
void append_call(std::string& out, const ToolCall& call) {
    out += R"("id":)";
    append_json(out, call.id);
    out += R"(,"type":"function","function":{"name":)";
    append_json(out, call.name);
    out += R"(,"arguments":)";
    append_json(out, call.arguments);
    out += '}';
}

void append_message(std::string& out, const Choice& choice) {
    out += R"(,"message":{"role":"assistant","content":)";
    if (choice.text.empty() && !choice.tool_calls.empty()) {
        out += "null";
    } else {
        append_json(out, choice.text);
    }
    if (!choice.reasoning.empty()) {
        out += R"(,"reasoning_content":)";
        append_json(out, choice.reasoning);
    }
    for (const ToolCall& call : choice.tool_calls) {
        out += &call == choice.tool_calls.data() ? R"(,"tool_calls":[{)" : ",{";
        append_call(out, call);
        out += '}';
    }
    out += choice.tool_calls.empty() ? "" : "]";
    out += R"(,"refusal":null})";
}

// The end of a choice and, for chunks, of its event.
void append_finish(std::string& out, std::string_view logprobs, std::string_view finish_reason,
                   std::string_view stop_reason = {}) {
    out.append(R"(,"logprobs":)").append(logprobs).append(R"(,"finish_reason":)");
    if (finish_reason.empty()) {
        out += "null";
    } else {
        append_json(out, finish_reason);
    }
    if (!stop_reason.empty()) {
        out += R"(,"stop_reason":)";
        append_json(out, stop_reason);
    }
    out += '}';
}

}  // namespace

void LogprobsText::add(const TokenLogprobView& token) {
    const std::string_view comma = tokens_.empty() ? "" : ",";
    tokens_ += comma;
    if (kind_ == AnswerKind::kChat) {
        append_logprob(tokens_, token.token, token.logprob);
        tokens_ += R"(,"top_logprobs":[)";
        for (const auto& [text, logprob] : token.top) {
            tokens_ += tokens_.back() == '[' ? "" : ",";
            append_logprob(tokens_, text, logprob);
            tokens_ += '}';
        }
        tokens_ += "]}";
        return;
    }
    append_json(tokens_, to_utf8(token.token));
    append_number(values_ += comma, token.logprob);
    json::object top;  // an object, since texts may be equal
    for (const auto& [text, logprob] : token.top) {
        top[to_utf8(text)] = logprob;
    }
    tops_.append(comma).append(json::serialize(top));
    append_integer(offsets_ += comma, offset_);
    offset_ += token.token.size();
}

std::string LogprobsText::take() {
    GANTRY_ASSERT(!empty(), "log-probabilities of no token");
    std::string out;
    if (kind_ == AnswerKind::kChat) {
        out.append(R"({"content":[)").append(tokens_).append(R"(],"refusal":null})");
    } else {
        out.append(R"({"tokens":[)").append(tokens_);
        out.append(R"(],"token_logprobs":[)").append(values_);
        out.append(R"(],"top_logprobs":[)").append(tops_);
        out.append(R"(],"text_offset":[)").append(offsets_).append("]}");
    }
    tokens_ = values_ = tops_ = offsets_ = {};
    return out;
}

AnswerWriter::AnswerWriter(AnswerKind kind, RandomSource& random, WallTime now,
                           const std::string& model, std::string_view service_tier)
    : kind_(kind), id_((kind == AnswerKind::kChat ? "chatcmpl-" : "cmpl-") + random.token(24)) {
    const auto head = [&](const char* object_name) {
        json::object object;
        object["id"] = id_;
        object["object"] = object_name;
        object["created"] = to_unix_ms(now) / 1000;
        object["model"] = model;
        if (!service_tier.empty()) {
            object["service_tier"] = service_tier;
        }
        std::string text = json::serialize(object);
        text.back() = ',';
        return text + R"("choices":[)";
    };
    const bool chat = kind == AnswerKind::kChat;
    chunk_head_ = head(chat ? "chat.completion.chunk" : "text_completion");
    answer_head_ = head(chat ? "chat.completion" : "text_completion");
}

void AnswerWriter::role_chunk(std::string& out, uint32_t choice) const {
    GANTRY_ASSERT(kind_ == AnswerKind::kChat, "only chat has roles");
    out.append(chunk_head_).append(R"({"index":)");
    append_integer(out, choice);
    out += R"(,"delta":{"role":"assistant","content":""})";
    append_finish(out, "null", {});
    out += "]}";
}

void AnswerWriter::text_chunk(std::string& out, uint32_t choice, std::string_view text,
                              std::string_view logprobs) const {
    out.append(chunk_head_).append(R"({"index":)");
    append_integer(out, choice);
    out += kind_ == AnswerKind::kChat ? R"(,"delta":{"content":)" : R"(,"text":)";
    append_json(out, text);
    out += kind_ == AnswerKind::kChat ? "}" : "";
    append_finish(out, logprobs, {});
    out += "]}";
}

void AnswerWriter::reasoning_chunk(std::string& out, uint32_t choice,
                                   std::string_view text) const {
    out.append(chunk_head_).append(R"({"index":)");
    append_integer(out, choice);
    out += R"(,"delta":{"reasoning_content":)";
    append_json(out, text);
    out += '}';
    append_finish(out, "null", {});
    out += "]}";
}

void AnswerWriter::call_chunk(std::string& out, uint32_t choice, uint32_t index,
                              const ToolCall& piece) const {
    out.append(chunk_head_).append(R"({"index":)");
    append_integer(out, choice);
    out += R"(,"delta":{"tool_calls":[{"index":)";
    append_integer(out, index);
    if (piece.id.empty()) {
        out += R"(,"function":{"arguments":)";
        append_json(out, piece.arguments);
        out += "}}]}";
    } else {
        out += ',';
        append_call(out, piece);
        out += "}]}";
    }
    append_finish(out, "null", {});
    out += "]}";
}

void AnswerWriter::finish_chunk(std::string& out, uint32_t choice,
                                std::string_view finish_reason,
                                std::string_view stop_reason) const {
    out.append(chunk_head_).append(R"({"index":)");
    append_integer(out, choice);
    out += kind_ == AnswerKind::kChat ? R"(,"delta":{})" : R"(,"text":"")";
    append_finish(out, "null", finish_reason, stop_reason);
    out += "]}";
}

void AnswerWriter::usage_chunk(std::string& out, const Usage& usage,
                               const AnswerTimings& timings) const {
    out.append(chunk_head_).append("]");
    append_totals(out, usage, timings);
}

void AnswerWriter::answer(std::string& out, const std::vector<Choice>& choices, const Usage& usage,
                          const AnswerTimings& timings) const {
    out += answer_head_;
    for (size_t i = 0; i < choices.size(); ++i) {
        const Choice& choice = choices[i];
        out.append(i == 0 ? "" : ",").append(R"({"index":)");
        append_integer(out, choice.index);
        if (kind_ == AnswerKind::kChat) {
            append_message(out, choice);
        } else {
            out += R"(,"text":)";
            append_json(out, choice.text);
        }
        append_finish(out, choice.logprobs, choice.finish_reason, choice.stop_reason);
    }
    out += ']';
    append_totals(out, usage, timings);
}

json::object usage_object(const Usage& usage) {
    json::object object;
    object["prompt_tokens"] = usage.prompt_tokens;
    object["completion_tokens"] = usage.completion_tokens;
    object["total_tokens"] = uint64_t{usage.prompt_tokens} + usage.completion_tokens;
    json::object prompt_details;
    prompt_details["cached_tokens"] = usage.cached_tokens;
    object["prompt_tokens_details"] = std::move(prompt_details);
    json::object completion_details;
    completion_details["reasoning_tokens"] = usage.reasoning_tokens;
    object["completion_tokens_details"] = std::move(completion_details);
    return object;
}

json::object model_object(const ModelEntry& model) {
    json::object object;
    object["id"] = model.id;
    object["object"] = "model";
    object["created"] = model.created;
    object["owned_by"] = model.owned_by;
    if (!model.meta.empty()) {
        object["meta"] = model.meta;
    }
    return object;
}

json::object model_list(const std::vector<ModelEntry>& models) {
    json::array data;
    for (const ModelEntry& model : models) {
        data.push_back(model_object(model));
    }
    json::object object;
    object["object"] = "list";
    object["data"] = std::move(data);
    return object;
}

}  // namespace gantry::protocol::openai
