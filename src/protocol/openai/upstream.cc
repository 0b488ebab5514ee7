#include "protocol/openai/upstream.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/assert.h"
#include "protocol/openai/fields.h"

namespace gantry::protocol::openai {
namespace {

constexpr std::string_view kChatFields[] = {
    "model",
    "messages",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "n",
    "stop",
    "seed",
    "stream",
    "stream_options",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "response_format",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "reasoning_effort",
    "user",
    "ignore_eos",
    "min_tokens",
    "top_k",
    "min_p",
    "repetition_penalty",
    "stop_token_ids",
    "chat_template_kwargs",
    "service_tier",
    "priority",
    "cache_salt",
    "deadline_ms",
};
constexpr std::string_view kCompletionFields[] = {
    "model",
    "prompt",
    "suffix",
    "echo",
    "best_of",
    "max_tokens",
    "temperature",
    "top_p",
    "n",
    "stop",
    "seed",
    "stream",
    "stream_options",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "response_format",
    "user",
    "ignore_eos",
    "min_tokens",
    "top_k",
    "min_p",
    "repetition_penalty",
    "stop_token_ids",
    "service_tier",
    "priority",
    "cache_salt",
    "deadline_ms",
};
constexpr std::string_view kEmbeddingFields[] = {
    "model", "input", "encoding_format", "dimensions", "user",
};
constexpr std::string_view kRerankFields[] = {
    "model", "query", "documents", "top_n", "return_documents",
};
constexpr std::string_view kTokenizeFields[] = {
    "model",       "prompt", "content", "tokens",           "messages",           "tools",
    "tool_choice", "add_special",       "add_special_tokens", "chat_template_kwargs",
};
constexpr std::string_view kStreamOptions[] = {"include_usage"};
constexpr std::string_view kTemplateKwargs[] = {"enable_thinking"};

bool true_at(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    return value != nullptr && value->is_bool() && value->get_bool();
}

uint32_t count_at(const json::object& object, std::string_view key) {
    const json::value* value = find(object, key);
    if (value == nullptr) {
        return 0;
    }
    Result<int64_t> count = as_integer(*value, "usage", 0, std::numeric_limits<uint32_t>::max());
    return count ? static_cast<uint32_t>(*count) : 0;
}

double milliseconds_at(const json::object& object, std::string_view key) {
    const json::value* value = find(object, key);
    if (value == nullptr) {
        return 0;
    }
    Result<double> number = as_number(*value, "timings", 0, 1e12);
    return number ? *number : 0;
}

// Nobody gets ahead of others through the gateway, since keys carry no permission for that yet: what
// asks for it is served as any other.
bool asks_to_go_first(std::string_view name, const json::value& value) {
    if (name == "service_tier") {
        return value.is_string() && value.get_string() == "priority";
    }
    return name == "priority" && value.is_number() && value.to_number<double>() < 0;
}

}  // namespace

std::span<const std::string_view> chat_fields() { return kChatFields; }

std::span<const std::string_view> completion_fields() { return kCompletionFields; }

std::span<const std::string_view> embedding_fields() { return kEmbeddingFields; }

std::span<const std::string_view> rerank_fields() { return kRerankFields; }

std::span<const std::string_view> tokenize_fields() { return kTokenizeFields; }

// Moved one by one into a new object: erasing from the old one would be quadratic in what a stranger sends.
json::object forward_body(json::object original, std::span<const std::string_view> allowed) {
    json::object body(original.storage());
    body.reserve(std::min(original.size(), allowed.size()));
    for (auto& [key, value] : original) {
        const std::string_view name(key.data(), key.size());
        if (std::find(allowed.begin(), allowed.end(), name) == allowed.end()) {
            continue;
        }
        if (name == "stream_options" && value.is_object()) {
            body[key] = forward_body(std::move(value.get_object()), kStreamOptions);
        } else if (name == "chat_template_kwargs" && value.is_object()) {
            body[key] = forward_body(std::move(value.get_object()), kTemplateKwargs);
        } else if (asks_to_go_first(name, value)) {
            body[key] = name == "service_tier" ? json::value("default") : json::value(0);
        } else {
            body[key] = std::move(value);
        }
    }
    return body;
}

bool wants_stream(const json::object& body) { return true_at(body, "stream"); }

bool wants_usage(const json::object& body) {
    const json::object* options = object_at(body, "stream_options");
    return options != nullptr && true_at(*options, "include_usage");
}

std::optional<uint32_t> max_tokens_of(const json::object& body) {
    for (const char* key : {"max_completion_tokens", "max_tokens"}) {
        const json::value* value = find(body, key);
        if (value == nullptr) {
            continue;
        }
        Result<int64_t> tokens = as_integer(*value, key, 0, std::numeric_limits<uint32_t>::max());
        if (tokens) {
            return static_cast<uint32_t>(*tokens);
        }
    }
    return std::nullopt;
}

void ask_for_usage(json::object& body) {
    GANTRY_ASSERT(wants_stream(body), "usage chunks are for streams");
    json::value& options = body["stream_options"];
    if (!options.is_object()) {
        options = json::object();
    }
    options.get_object()["include_usage"] = true;
}

std::optional<Usage> usage_of(const json::object& answer) {
    const json::object* fields = object_at(answer, "usage");
    return fields == nullptr ? std::nullopt : std::optional(usage_in(*fields));
}

Usage usage_in(const json::object& fields) {
    Usage usage;
    // Rerankers of others give the total only, all of which is prompt.
    const bool split = find(fields, "prompt_tokens") != nullptr;
    usage.prompt_tokens = count_at(fields, split ? "prompt_tokens" : "total_tokens");
    usage.completion_tokens = count_at(fields, "completion_tokens");
    if (const json::object* details = object_at(fields, "prompt_tokens_details")) {
        usage.cached_tokens = count_at(*details, "cached_tokens");
    }
    if (const json::object* details = object_at(fields, "completion_tokens_details")) {
        usage.reasoning_tokens = count_at(*details, "reasoning_tokens");
    }
    return usage;
}

std::optional<AnswerTimings> timings_of(const json::object& answer) {
    const json::object* fields = object_at(answer, "timings");
    return fields == nullptr ? std::nullopt : timings_in(*fields);
}

std::optional<AnswerTimings> timings_in(const json::object& fields) {
    // llama-server has a `timings` of its own with other names; only ours is read.
    if (!fields.contains("queue_ms")) {
        return std::nullopt;
    }
    return AnswerTimings{milliseconds_at(fields, "queue_ms"), milliseconds_at(fields, "prefill_ms"),
                         milliseconds_at(fields, "decode_ms")};
}

bool is_usage_chunk(const json::object& chunk) {
    const json::array* choices = array_at(chunk, "choices");
    return choices != nullptr && choices->empty() && object_at(chunk, "usage") != nullptr;
}

bool has_output(const json::object& chunk) {
    const json::array* choices = array_at(chunk, "choices");
    if (choices == nullptr) {
        return false;
    }
    for (const json::value& choice : *choices) {
        if (!choice.is_object()) {
            continue;
        }
        if (!text_at(choice.get_object(), "text").empty()) {
            return true;
        }
        const json::object* delta = object_at(choice.get_object(), "delta");
        if (delta == nullptr) {
            continue;
        }
        const json::array* calls = array_at(*delta, "tool_calls");
        if (calls != nullptr && !calls->empty()) {
            return true;
        }
        for (const char* key : {"content", "reasoning_content", "reasoning"}) {
            if (!text_at(*delta, key).empty()) {
                return true;
            }
        }
    }
    return false;
}

}  // namespace gantry::protocol::openai
