#include "protocol/openai/completions.h"

#include <fmt/format.h>

#include "protocol/openai/fields.h"

namespace gantry::protocol::openai {
Result<CompletionRequest> parse_completion(const json::value& body) {
    Result<const json::object*> object = as_object(body, "");
    if (!object) {
        return object.error();
    }
    const json::object& fields = **object;
    CompletionRequest request;
    Result<std::string> model = parse_model(fields);
    if (!model) {
        return model.error();
    }
    request.model = *std::move(model);
    const json::value* prompt = find(fields, "prompt");
    if (prompt == nullptr) {
        return invalid_argument(
            "'prompt' is missing: send a string, an array of strings, or token ids", "prompt",
            "missing_required_parameter");
    }
    Result<std::vector<Prompt>> prompts = parse_prompts(*prompt, "prompt", kPromptsMax);
    if (!prompts) {
        return prompts.error();
    }
    request.prompts = *std::move(prompts);
    request.generation.max_tokens = kCompletionMaxTokensDefault;
    GANTRY_TRY(parse_generation(fields, request.generation));
    GANTRY_TRY(parse_response_format(fields, request.response_format));
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
