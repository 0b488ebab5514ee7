#include "protocol/openai/prompts.h"

#include <fmt/format.h>

#include <limits>

#include "protocol/openai/fields.h"

namespace gantry::protocol::openai {
namespace {

Result<Prompt> parse_tokens(const json::array& items, const std::string& path) {
    std::vector<int32_t> tokens;
    tokens.reserve(items.size());
    for (size_t i = 0; i < items.size(); ++i) {
        const int64_t* plain = items[i].if_int64();
        if (plain != nullptr && *plain >= 0 && *plain <= std::numeric_limits<int32_t>::max()) {
            tokens.push_back(static_cast<int32_t>(*plain));  // a path for each would cost the most
            continue;
        }
        Result<int64_t> id = as_integer(items[i], fmt::format("{}[{}]", path, i), 0,
                                        std::numeric_limits<int32_t>::max());
        if (!id) {
            return id.error();
        }
        tokens.push_back(static_cast<int32_t>(*id));
    }
    return Prompt(std::move(tokens));
}

}  // namespace

Result<std::vector<Prompt>> parse_prompts(const json::value& value, const std::string& path,
                                          size_t most) {
    std::vector<Prompt> prompts;
    if (value.is_string()) {
        prompts.emplace_back(std::string(value.get_string()));
        return prompts;
    }
    if (!value.is_array()) {
        return wrong_type(path, "a string or an array", value);
    }
    const json::array& items = value.get_array();
    if (items.empty()) {
        return invalid_argument(fmt::format("'{}' must not be an empty array", path), path);
    }
    if (items.front().is_number()) {
        Result<Prompt> prompt = parse_tokens(items, path);
        if (!prompt) {
            return prompt.error();
        }
        prompts.push_back(*std::move(prompt));
        return prompts;
    }
    if (items.size() > most) {
        return invalid_argument(
            fmt::format("'{}' may hold at most {} texts, not {}", path, most, items.size()), path);
    }
    const bool texts = items.front().is_string();
    for (size_t i = 0; i < items.size(); ++i) {
        const std::string item = fmt::format("{}[{}]", path, i);
        if (texts) {
            Result<std::string> text = as_string(items[i], item);
            if (!text) {
                return text.error();
            }
            prompts.emplace_back(*std::move(text));
            continue;
        }
        if (!items[i].is_array()) {
            return wrong_type(item, "a string or an array of token ids", items[i]);
        }
        if (items[i].get_array().empty()) {
            return invalid_argument(fmt::format("'{}' must not be empty", item), item);
        }
        Result<Prompt> prompt = parse_tokens(items[i].get_array(), item);
        if (!prompt) {
            return prompt.error();
        }
        prompts.push_back(*std::move(prompt));
    }
    return prompts;
}

}  // namespace gantry::protocol::openai
