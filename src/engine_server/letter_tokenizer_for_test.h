#pragma once
// For tests and benchmarks: a vocabulary of letters.

#include <functional>

#include "engine_server/tokenizer.h"

namespace gantry::engine_server {

inline constexpr uint32_t kVocabulary = 61;

// A token is a letter; "<|x|>" is the one special text, token 60.
class LetterTokenizer final : public Tokenizer {
public:
    Result<std::vector<engine::TokenId>> tokenize(std::string_view text,
                                                  bool parse_special) const override {
        if (on_tokenize) {
            on_tokenize(text);
        }
        std::vector<engine::TokenId> tokens;
        for (size_t i = 0; i < text.size(); ++i) {
            if (parse_special && text.substr(i).starts_with("<|x|>")) {
                tokens.push_back(60);
                i += 4;
            } else {
                tokens.push_back(static_cast<unsigned char>(text[i]) % 60);
            }
        }
        return tokens;
    }
    std::string piece(engine::TokenId token, bool) const override {
        return std::string(1, static_cast<char>('A' + token % 26));
    }
    std::vector<size_t> special_text_starts(std::string_view text) const override {
        const size_t at = text.find("<|x|>");
        return at == text.npos ? std::vector<size_t>() : std::vector<size_t>{at};
    }
    engine::TokenId begin_token() const override { return -1; }
    std::string begin_text() const override { return {}; }
    std::string end_text() const override { return {}; }
    bool is_end(engine::TokenId token) const override { return token == 60; }
    uint32_t size() const override { return kVocabulary; }
    size_t piece_bytes_max() const override { return 8; }

    std::function<void(std::string_view)> on_tokenize;  // on a thread of the pool
};

}  // namespace gantry::engine_server
