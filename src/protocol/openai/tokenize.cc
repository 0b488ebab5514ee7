#include "protocol/openai/tokenize.h"

#include <fmt/format.h>

#include <limits>

#include "protocol/openai/fields.h"

namespace gantry::protocol::openai {
namespace {

class TokenizeTranslator final : public Translator {
public:
    json::value whole(const json::object& answer) override {
        json::object out = answer;
        const json::value* tokens = answer.if_contains("tokens");
        if (tokens != nullptr && tokens->is_array()) out["count"] = tokens->get_array().size();
        return out;
    }

protected:
    std::string client_path(const std::string& path) const override { return path == "content" ? "prompt" : path; }
};

class DetokenizeTranslator final : public Translator {
public:
    json::value whole(const json::object& answer) override {
        const json::value* text = answer.if_contains("prompt");
        if (text == nullptr) text = answer.if_contains("content");
        return json::object{{"prompt", text == nullptr ? json::value("") : *text}};
    }
};

// Each engine's word for whether the text's special tokens and those around it count.
Status add_special_words(const json::object& fields, json::object& body) {
    for (const char* key : {"add_special_tokens", "add_special"}) {
        const json::value* value = find(fields, key);
        if (value == nullptr) continue;
        Result<bool> flag = as_bool(*value, key);
        if (!flag) return flag.error();
        body["add_special_tokens"] = *flag;
        body["add_special"] = *flag;
    }
    return Ok{};
}

}  // namespace

Result<Translated> translate_tokenize(const json::value& body) {
    Result<const json::object*> object = as_object(body, "");
    if (!object) return object.error();
    const json::object& fields = **object;
    Translated out;
    out.translator = std::make_unique<TokenizeTranslator>();
    if (find(fields, "messages") != nullptr) {
        out.body = fields;   // as a chat's
        return out;
    }
    const char* name = find(fields, "prompt") == nullptr && find(fields, "content") != nullptr ? "content" : "prompt";
    const json::value* text = find(fields, name);
    if (text == nullptr) return missing_field("prompt", "the text to split into tokens, or 'messages'");
    if (!text->is_string()) return wrong_type(name, "a string", *text);
    if (const json::value* model = find(fields, "model")) out.body["model"] = *model;
    out.body["prompt"] = *text;
    out.body["content"] = *text;
    GANTRY_TRY(add_special_words(fields, out.body));
    return out;
}

Result<Translated> translate_detokenize(const json::value& body) {
    Result<const json::object*> object = as_object(body, "");
    if (!object) return object.error();
    const json::value* tokens = find(**object, "tokens");
    if (tokens == nullptr) return missing_field("tokens", "an array of token ids");
    Result<const json::array*> ids = as_array(*tokens, "tokens");
    if (!ids) return ids.error();
    for (size_t i = 0; i < (*ids)->size(); ++i) {
        Result<int64_t> id = as_integer((**ids)[i], fmt::format("tokens[{}]", i), 0, std::numeric_limits<int32_t>::max());
        if (!id) return id.error();
    }
    Translated out;
    if (const json::value* model = find(**object, "model")) out.body["model"] = *model;
    out.body["tokens"] = *tokens;
    out.translator = std::make_unique<DetokenizeTranslator>();
    return out;
}

}  // namespace gantry::protocol::openai
