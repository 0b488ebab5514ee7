#include "protocol/openai/completions.h"

#include <fmt/format.h>

#include <limits>

#include "protocol/openai/fields.h"

namespace gantry::protocol::openai {
namespace {

Result<Prompt> parse_tokens(const json::array& items, const std::string& path) {
    std::vector<int32_t> tokens;
    tokens.reserve(items.size());
    for (size_t i = 0; i < items.size(); ++i) {
        Result<int64_t> id = as_integer(items[i], fmt::format("{}[{}]", path, i), 0,
                                        std::numeric_limits<int32_t>::max());
        if (!id) {
            return id.error();
        }
        tokens.push_back(static_cast<int32_t>(*id));
    }
    return Prompt(std::move(tokens));
}

// A string, strings, token ids, or lists of token ids: the first item of an array says which.
Result<std::vector<Prompt>> parse_prompts(const json::value& value) {
    std::vector<Prompt> prompts;
    if (value.is_string()) {
        prompts.emplace_back(std::string(value.get_string()));
        return prompts;
    }
    if (!value.is_array()) {
        return wrong_type("prompt", "a string or an array", value);
    }
    const json::array& items = value.get_array();
    if (items.empty()) {
        return invalid_argument("'prompt' must not be an empty array", "prompt");
    }
    if (items.front().is_number()) {
        Result<Prompt> prompt = parse_tokens(items, "prompt");
        if (!prompt) {
            return prompt.error();
        }
        prompts.push_back(*std::move(prompt));
        return prompts;
    }
    if (items.size() > kPromptsMax) {
        return invalid_argument(
            fmt::format("'prompt' may hold at most {} prompts, not {}", kPromptsMax, items.size()),
            "prompt");
    }
    const bool texts = items.front().is_string();
    for (size_t i = 0; i < items.size(); ++i) {
        const std::string path = fmt::format("prompt[{}]", i);
        if (texts) {
            Result<std::string> text = as_string(items[i], path);
            if (!text) {
                return text.error();
            }
            prompts.emplace_back(*std::move(text));
            continue;
        }
        if (!items[i].is_array()) {
            return wrong_type(path, "a string or an array of token ids", items[i]);
        }
        if (items[i].get_array().empty()) {
            return invalid_argument(fmt::format("'{}' must not be empty", path), path);
        }
        Result<Prompt> prompt = parse_tokens(items[i].get_array(), path);
        if (!prompt) {
            return prompt.error();
        }
        prompts.push_back(*std::move(prompt));
    }
    return prompts;
}

}  // namespace

Result<CompletionRequest> parse_completion(const json::value& body) {
    Result<const json::object*> object = as_object(body, "");
    if (!object) {
        return object.error();
    }
    const json::object& fields = **object;
    CompletionRequest request;
    if (const json::value* model = find(fields, "model")) {
        Result<std::string> name = as_string(*model, "model");
        if (!name) {
            return name.error();
        }
        request.model = *std::move(name);
    }
    const json::value* prompt = find(fields, "prompt");
    if (prompt == nullptr) {
        return invalid_argument(
            "'prompt' is missing: send a string, an array of strings, or token ids", "prompt",
            "missing_required_parameter");
    }
    Result<std::vector<Prompt>> prompts = parse_prompts(*prompt);
    if (!prompts) {
        return prompts.error();
    }
    request.prompts = *std::move(prompts);
    request.generation.max_tokens = kCompletionMaxTokensDefault;
    GANTRY_TRY(parse_generation(fields, request.generation));
    if (const json::value* echo = find(fields, "echo")) {
        Result<bool> flag = as_bool(*echo, "echo");
        if (!flag) {
            return flag.error();
        }
        request.echo = *flag;
    }
    if (const json::value* logprobs = find(fields, "logprobs")) {
        Result<int64_t> count = as_integer(*logprobs, "logprobs", 0, kCompletionLogprobsMax);
        if (!count) {
            return count.error();
        }
        request.generation.logprobs = true;
        request.generation.top_logprobs = static_cast<uint32_t>(*count);
    }
    if (find(fields, "suffix") != nullptr) {
        return invalid_argument("'suffix' (filling in the middle) is not supported: leave it out",
                                "suffix", "unsupported_parameter");
    }
    if (const json::value* best_of = find(fields, "best_of")) {
        Result<int64_t> count = as_integer(*best_of, "best_of", 1, 20);
        if (!count) {
            return count.error();
        }
        if (*count != request.generation.n) {
            return invalid_argument(
                fmt::format(
                    "'best_of' ({}) must equal 'n' ({}): choosing among more is not supported",
                    *count, request.generation.n),
                "best_of");
        }
    }
    return request;
}

}  // namespace gantry::protocol::openai
