#include "protocol/openai/responses.h"

#include <chrono>

#include "base/assert.h"
#include "protocol/openai/utf8.h"

namespace gantry::protocol::openai {
namespace {

json::array bytes_of(const std::string& text) {
    json::array bytes;
    for (const char c : text) {
        bytes.emplace_back(static_cast<unsigned char>(c));
    }
    return bytes;
}

json::object logprob_object(const std::string& token, double logprob) {
    json::object object;
    object["token"] = to_utf8(token);
    object["logprob"] = logprob;
    object["bytes"] = bytes_of(token);
    return object;
}

json::object chat_logprobs(const Logprobs& logprobs) {
    json::array content;
    for (const TokenLogprobView& token : logprobs) {
        json::object entry = logprob_object(token.token, token.logprob);
        json::array top;
        for (const auto& [text, logprob] : token.top) {
            top.push_back(logprob_object(text, logprob));
        }
        entry["top_logprobs"] = std::move(top);
        content.push_back(std::move(entry));
    }
    json::object object;
    object["content"] = std::move(content);
    object["refusal"] = nullptr;
    return object;
}

// The legacy shape: parallel arrays.
json::object completion_logprobs(const Logprobs& logprobs) {
    json::array tokens;
    json::array values;
    json::array tops;
    json::array offsets;
    uint64_t offset = 0;
    for (const TokenLogprobView& token : logprobs) {
        tokens.emplace_back(to_utf8(token.token));
        values.emplace_back(token.logprob);
        json::object top;
        for (const auto& [text, logprob] : token.top) {
            top[to_utf8(text)] = logprob;
        }
        tops.push_back(std::move(top));
        offsets.emplace_back(offset);
        offset += token.token.size();
    }
    json::object object;
    object["tokens"] = std::move(tokens);
    object["token_logprobs"] = std::move(values);
    object["top_logprobs"] = std::move(tops);
    object["text_offset"] = std::move(offsets);
    return object;
}

json::value logprobs_value(AnswerKind kind, const Logprobs* logprobs) {
    if (logprobs == nullptr) {
        return nullptr;
    }
    return kind == AnswerKind::kChat ? chat_logprobs(*logprobs) : completion_logprobs(*logprobs);
}

json::object timings_object(const AnswerTimings& timings) {
    json::object object;
    object["queue_ms"] = timings.queue_ms;
    object["prefill_ms"] = timings.prefill_ms;
    object["decode_ms"] = timings.decode_ms;
    return object;
}

json::object with_one_choice(json::object chunk, json::object choice) {
    json::array choices;
    choices.push_back(std::move(choice));
    chunk["choices"] = std::move(choices);
    return chunk;
}

}  // namespace

AnswerWriter::AnswerWriter(AnswerKind kind, RandomSource& random, WallTime now, std::string model)
    : kind_(kind),
      id_((kind == AnswerKind::kChat ? "chatcmpl-" : "cmpl-") + random.token(24)),
      created_(to_unix_ms(now) / 1000),
      model_(std::move(model)) {}

json::object AnswerWriter::base(bool chunk) const {
    json::object object;
    object["id"] = id_;
    object["object"] = kind_ == AnswerKind::kCompletion ? "text_completion"
                       : chunk                          ? "chat.completion.chunk"
                                                        : "chat.completion";
    object["created"] = created_;
    object["model"] = model_;
    return object;
}

json::object AnswerWriter::role_chunk(uint32_t choice) const {
    GANTRY_ASSERT(kind_ == AnswerKind::kChat, "only chat has roles");
    json::object delta;
    delta["role"] = "assistant";
    delta["content"] = "";
    json::object entry;
    entry["index"] = choice;
    entry["delta"] = std::move(delta);
    entry["logprobs"] = nullptr;
    entry["finish_reason"] = nullptr;
    return with_one_choice(base(true), std::move(entry));
}

json::object AnswerWriter::text_chunk(uint32_t choice, const std::string& text,
                                      const Logprobs* logprobs) const {
    json::object entry;
    entry["index"] = choice;
    if (kind_ == AnswerKind::kChat) {
        json::object delta;
        delta["content"] = text;
        entry["delta"] = std::move(delta);
    } else {
        entry["text"] = text;
    }
    entry["logprobs"] = logprobs_value(kind_, logprobs);
    entry["finish_reason"] = nullptr;
    return with_one_choice(base(true), std::move(entry));
}

json::object AnswerWriter::finish_chunk(uint32_t choice, const std::string& finish_reason) const {
    json::object entry;
    entry["index"] = choice;
    if (kind_ == AnswerKind::kChat) {
        entry["delta"] = json::object();
    } else {
        entry["text"] = "";
    }
    entry["logprobs"] = nullptr;
    entry["finish_reason"] = finish_reason;
    return with_one_choice(base(true), std::move(entry));
}

json::object AnswerWriter::usage_chunk(const Usage& usage, const AnswerTimings& timings) const {
    json::object chunk = base(true);
    chunk["choices"] = json::array();
    chunk["usage"] = usage_object(usage);
    chunk["timings"] = timings_object(timings);
    return chunk;
}

json::object AnswerWriter::answer(const std::vector<Choice>& choices, const Usage& usage,
                                  const AnswerTimings& timings) const {
    json::object object = base(false);
    json::array entries;
    for (const Choice& choice : choices) {
        json::object entry;
        entry["index"] = choice.index;
        if (kind_ == AnswerKind::kChat) {
            json::object message;
            message["role"] = "assistant";
            message["content"] = choice.text;
            message["refusal"] = nullptr;
            entry["message"] = std::move(message);
        } else {
            entry["text"] = choice.text;
        }
        entry["logprobs"] = logprobs_value(kind_, choice.logprobs);
        entry["finish_reason"] = choice.finish_reason;
        entries.push_back(std::move(entry));
    }
    object["choices"] = std::move(entries);
    object["usage"] = usage_object(usage);
    object["timings"] = timings_object(timings);
    return object;
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
