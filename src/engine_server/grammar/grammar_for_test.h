#pragma once
// For tests and benchmarks of grammars: real vocabularies, random walks through masks, and a JSON Schema validator that follows the
// specification and shares nothing with the code under test.

#include <llama.h>
#include <regex.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "base/json.h"
#include "engine_server/grammar/grammar_compiler.h"
#include "engine_server/tokenizer.h"

namespace gantry::engine_server::grammar_test {

struct Vocabulary {
    struct Free {
        void operator()(llama_model* model) const { llama_model_free(model); }
    };
    std::unique_ptr<llama_model, Free> model;
    std::unique_ptr<Tokenizer> tokenizer;
};

// Reads no weights; null where there is no such file.
inline std::optional<Vocabulary> load_vocabulary(const std::string& path) {
    if (!std::filesystem::exists(path)) {
        return std::nullopt;
    }
    llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
    llama_model_params params = llama_model_default_params();
    params.vocab_only = true;
    Vocabulary out;
    out.model.reset(llama_model_load_from_file(path.c_str(), params));
    if (!out.model) {
        return std::nullopt;
    }
    out.tokenizer = make_llama_tokenizer(llama_model_get_vocab(out.model.get()));
    return out;
}

inline std::string smollm2() {
    const char* cache = std::getenv("GANTRY_MODEL_CACHE");
    return (cache != nullptr ? std::string(cache) : std::string(std::getenv("HOME")) + "/.cache/gantry/models") +
           "/llm/SmolLM2-135M-Instruct.Q4_1.gguf";
}

// The bytes, a few longer tokens, the end. Small, so that a schema is compiled in no time.
class ByteTokenizer final : public Tokenizer {
public:
    Result<std::vector<engine::TokenId>> tokenize(std::string_view text, bool) const override {
        return std::vector<engine::TokenId>(text.begin(), text.end());
    }
    std::string piece(engine::TokenId token, bool) const override {
        static const std::string kLonger[] = {"\":", "\",\"", "\"}", "true", "null", "00", "  ", "\\u", "é", "}}"};
        return token < 256 ? std::string(1, static_cast<char>(token)) : token < 266 ? kLonger[token - 256] : std::string();
    }
    std::vector<size_t> special_text_starts(std::string_view) const override { return {}; }
    engine::TokenId begin_token() const override { return -1; }
    std::string begin_text() const override { return {}; }
    std::string end_text() const override { return {}; }
    static constexpr engine::TokenId kEnd = 266;
    bool is_end(engine::TokenId token) const override { return token == kEnd; }
    uint32_t size() const override { return 268; }
    size_t piece_bytes_max() const override { return 4; }
};

// Whether an answer may be exactly `text`, byte by byte.
inline bool takes(const Grammar& grammar, const ByteTokenizer& tokenizer, std::string_view text) {
    const std::shared_ptr<engine::TokenConstraint> constraint = grammar.start();
    for (const char byte : text) {
        if (!constraint->accept(static_cast<unsigned char>(byte))) {
            return false;
        }
    }
    return constraint->accept(tokenizer.kEnd);
}

inline std::vector<engine::TokenId> tokens_of(std::span<const uint32_t> mask) {
    std::vector<engine::TokenId> tokens;
    for (size_t word = 0; word < mask.size(); ++word) {
        for (uint32_t left = mask[word]; left != 0; left &= left - 1) {
            tokens.push_back(static_cast<engine::TokenId>(word * 32 + static_cast<size_t>(__builtin_ctz(left))));
        }
    }
    return tokens;
}

// Whether the JSON text so far ends inside a string.
inline bool in_string(const std::string& text) {
    bool inside = false;
    for (size_t i = 0; i < text.size(); ++i) {
        if (inside && text[i] == '\\') {
            ++i;
        } else if (text[i] == '"') {
            inside = !inside;
        }
    }
    return inside;
}

// Takes random allowed tokens, after `budget` of them those that lead to an end. Empty: no end within forty times the budget, or no
// token was left, or one that was allowed was not accepted.
inline std::string walk(const Grammar& grammar, const Tokenizer& tokenizer, std::mt19937& random, size_t budget) {
    const std::shared_ptr<engine::TokenConstraint> constraint = grammar.start();
    std::string text;
    for (size_t step = 0; step < budget * 40; ++step) {
        const std::vector<engine::TokenId> allowed = tokens_of(constraint->allowed());
        if (allowed.empty()) {
            return {};
        }
        const auto pick = [&] { return allowed[random() % allowed.size()]; };
        engine::TokenId token = pick();
        const bool closing = step >= budget || random() % 3 == 0;
        const std::string wanted = in_string(text) ? "\"@" : "}],:0\"";
        for (size_t i = 0; closing && i < wanted.size(); ++i) {
            const auto exact = std::find_if(allowed.begin(), allowed.end(), [&](engine::TokenId candidate) {
                return tokenizer.is_end(candidate) || tokenizer.piece(candidate) == wanted.substr(i, 1);
            });
            if (exact != allowed.end()) {
                token = *exact;
                break;
            }
        }
        if (tokenizer.is_end(token)) {
            return constraint->accept(token) && tokens_of(constraint->allowed()).empty() ? text : std::string();
        }
        if (!constraint->accept(token)) {
            return {};
        }
        text += tokenizer.piece(token);
    }
    return {};
}

class Validator {
public:
    explicit Validator(const json::value& root) : root_(root) {}
    bool valid(const json::value& document) const { return valid(document, root_); }

private:
    static bool is_type(const json::value& value, std::string_view type) {
        if (type == "integer") {
            return value.is_int64() || value.is_uint64() || (value.is_double() && std::floor(value.get_double()) == value.get_double());
        }
        return type == "null" ? value.is_null() : type == "boolean" ? value.is_bool() : type == "number" ? value.is_number()
             : type == "string" ? value.is_string() : type == "array" ? value.is_array() : value.is_object();
    }
    static bool equal(const json::value& a, const json::value& b) {
        return a.is_number() && b.is_number() ? a.to_number<double>() == b.to_number<double>() : a == b;
    }
    static bool matches(const std::string& text, const std::string& pattern) {
        regex_t compiled;
        if (regcomp(&compiled, pattern.c_str(), REG_EXTENDED | REG_NOSUB) != 0) {
            return false;
        }
        const bool found = regexec(&compiled, text.c_str(), 0, nullptr, 0) == 0;
        regfree(&compiled);
        return found;
    }
    static int64_t characters(const json::string& text) {
        return std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
    }

    bool valid(const json::value& document, const json::value& schema) const {
        if (schema.is_bool()) {
            return schema.get_bool();
        }
        const json::object& fields = schema.get_object();
        for (const auto& [key, value] : fields) {
            if (!keyword(document, fields, key, value)) {
                return false;
            }
        }
        return true;
    }
    int64_t branches(const json::value& document, const json::value& schemas) const {
        const json::array& array = schemas.get_array();
        return std::count_if(array.begin(), array.end(), [&](const json::value& schema) { return valid(document, schema); });
    }
    bool keyword(const json::value& document, const json::object& fields, std::string_view key, const json::value& value) const {
        if (key == "$ref") {
            boost::system::error_code failure;
            const json::value* target = root_.find_pointer(std::string_view(value.get_string()).substr(1), failure);
            return target != nullptr && valid(document, *target);
        }
        if (key == "anyOf") return branches(document, value) > 0;
        if (key == "oneOf") return branches(document, value) == 1;
        if (key == "allOf") return branches(document, value) == static_cast<int64_t>(value.get_array().size());
        if (key == "const") return equal(document, value);
        if (key == "enum") {
            const json::array& values = value.get_array();
            return std::any_of(values.begin(), values.end(), [&](const json::value& one) { return equal(document, one); });
        }
        if (key == "type") {
            if (value.is_string()) return is_type(document, value.get_string());
            const json::array& types = value.get_array();
            return std::any_of(types.begin(), types.end(), [&](const json::value& one) { return is_type(document, one.get_string()); });
        }
        if (document.is_string()) return string_keyword(document.get_string(), key, value);
        if (document.is_number()) return number_keyword(document.to_number<double>(), key, value);
        if (document.is_array()) return array_keyword(document.get_array(), fields, key, value);
        if (document.is_object()) return object_keyword(document.get_object(), fields, key, value);
        return true;
    }
    static bool string_keyword(const json::string& text, std::string_view key, const json::value& value) {
        if (key == "minLength") return characters(text) >= value.to_number<int64_t>();
        if (key == "maxLength") return characters(text) <= value.to_number<int64_t>();
        return key != "pattern" || matches(std::string(text), std::string(value.get_string()));
    }
    static bool number_keyword(double number, std::string_view key, const json::value& value) {
        if (!value.is_number()) return true;
        const auto bound = value.to_number<double>();
        if (key == "minimum") return number >= bound;
        if (key == "maximum") return number <= bound;
        if (key == "exclusiveMinimum") return number > bound;
        if (key == "exclusiveMaximum") return number < bound;
        const bool exact = std::abs(number) < 9e15;  // what is larger was rounded on reading
        return key != "multipleOf" || !exact || std::fmod(number, bound) == 0;
    }
    bool array_keyword(const json::array& items, const json::object& fields, std::string_view key, const json::value& value) const {
        if (key == "minItems") return static_cast<int64_t>(items.size()) >= value.to_number<int64_t>();
        if (key == "maxItems") return static_cast<int64_t>(items.size()) <= value.to_number<int64_t>();
        const json::value* prefix = fields.if_contains("prefixItems");
        const size_t first = prefix == nullptr ? 0 : prefix->get_array().size();
        for (size_t i = 0; i < items.size(); ++i) {
            if (key == "prefixItems" && i < first && !valid(items[i], value.get_array()[i])) return false;
            if (key == "items" && i >= first && !valid(items[i], value)) return false;
        }
        return true;
    }
    bool object_keyword(const json::object& object, const json::object& fields, std::string_view key, const json::value& value) const {
        if (key == "required") {
            const json::array& names = value.get_array();
            return std::all_of(names.begin(), names.end(), [&](const json::value& name) { return object.contains(name.get_string()); });
        }
        const json::value* properties = fields.if_contains("properties");
        for (const auto& [name, property] : object) {
            const json::value* known = properties == nullptr ? nullptr : properties->get_object().if_contains(name);
            if (key == "properties" && known != nullptr && !valid(property, *known)) return false;
            if (key == "additionalProperties" && known == nullptr && !valid(property, value)) return false;
        }
        return true;
    }

    const json::value& root_;
};

}  // namespace gantry::engine_server::grammar_test
