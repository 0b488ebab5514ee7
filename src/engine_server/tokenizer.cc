#include "engine_server/tokenizer.h"

#include <fmt/format.h>
#include <llama.h>

#include <algorithm>
#include <climits>

namespace gantry::engine_server {
namespace {

// Some vocabularies are split by regular expressions whose library calls itself for each letter of
// a word, and the stack is limited.
constexpr size_t kWordBytesMax = 256u << 10;

// Of letters and digits, and of characters beyond ASCII but for the punctuation of East Asia.
size_t longest_word(std::string_view text) {
    size_t longest = 0;
    size_t from = 0;
    for (size_t at = 0; at < text.size(); ++at) {
        const auto c = static_cast<unsigned char>(text[at]);
        const bool letter = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        const std::string_view rest = text.substr(at, 2);
        const bool mark = rest == "\xE3\x80" || rest == "\xEF\xBC";  // U+3000..303F, U+FF00..FF3F
        if ((!letter && c < 0x80) || mark) {
            longest = std::max(longest, at - from);
            from = at + 1;
        }
    }
    return std::max(longest, text.size() - from);
}

class LlamaTokenizer final : public Tokenizer {
public:
    explicit LlamaTokenizer(const llama_vocab* vocab)
        : vocab_(vocab), size_(llama_vocab_n_tokens(vocab)) {
        for (llama_token token = 0; token < size_; ++token) {
            const llama_token_attr attributes = llama_vocab_get_attr(vocab_, token);
            if ((attributes & (LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_UNKNOWN)) != 0) {
                std::string text = piece(token, true);
                if (!text.empty()) {
                    special_texts_.push_back(std::move(text));
                }
            }
            piece_bytes_max_ = std::max(piece_bytes_max_, piece(token, true).size());
        }
    }

    Result<std::vector<engine::TokenId>> tokenize(std::string_view text,
                                                  bool parse_special) const override {
        if (text.size() > INT32_MAX / 2) {
            return Error{
                ErrorCode::kTooLarge, "the text is too long to be split into tokens", {}, {}};
        }
        if (longest_word(text) > kWordBytesMax) {
            return invalid_argument(fmt::format(
                "a word of over {} bytes can't be split into tokens: put spaces or line ends into it",
                kWordBytesMax));
        }
        std::vector<engine::TokenId> tokens(text.size() / 3 + 16);
        const auto length = static_cast<int32_t>(text.size());
        try {
            int32_t count =
                llama_tokenize(vocab_, text.data(), length, tokens.data(),
                               static_cast<int32_t>(tokens.size()), false, parse_special);
            if (count < 0 && count != INT32_MIN) {
                tokens.resize(static_cast<size_t>(-count));
                count = llama_tokenize(vocab_, text.data(), length, tokens.data(), -count, false,
                                       parse_special);
            }
            if (count < 0) {
                return internal_error("the text can't be split into tokens");
            }
            tokens.resize(static_cast<size_t>(count));
        } catch (const std::exception& failure) {
            return invalid_argument(
                fmt::format("the text can't be split into tokens: {}", failure.what()));
        }
        return tokens;
    }

    std::string piece(engine::TokenId token, bool special) const override {
        if (token < 0 || token >= size_) {
            return {};
        }
        char buffer[128];  // most pieces fit a string without memory of its own
        const int32_t length =
            llama_token_to_piece(vocab_, token, buffer, sizeof(buffer), 0, special);
        if (length >= 0) {
            return std::string(buffer, static_cast<size_t>(length));
        }
        std::string text(static_cast<size_t>(-length), '\0');
        llama_token_to_piece(vocab_, token, text.data(), -length, 0, special);
        return text;
    }

    std::vector<size_t> special_text_starts(std::string_view text) const override {
        std::vector<size_t> starts;
        for (const std::string& special : special_texts_) {
            for (size_t at = text.find(special); at != std::string_view::npos;
                 at = text.find(special, at + 1)) {
                starts.push_back(at);
            }
        }
        std::sort(starts.begin(), starts.end());
        starts.erase(std::unique(starts.begin(), starts.end()), starts.end());
        return starts;
    }

    engine::TokenId begin_token() const override {
        return llama_vocab_get_add_bos(vocab_) ? llama_vocab_bos(vocab_) : -1;
    }
    TextFrame frame() const override {
        TextFrame frame;
        if (llama_vocab_get_add_bos(vocab_)) {
            frame.begin.push_back(llama_vocab_bos(vocab_));
        }
        if (llama_vocab_type(vocab_) == LLAMA_VOCAB_TYPE_WPM) {
            frame.between = frame.end = {llama_vocab_sep(vocab_)};
            return frame;
        }
        if (llama_vocab_get_add_eos(vocab_)) {
            frame.between = frame.end = {llama_vocab_eos(vocab_)};
        }
        if (llama_vocab_get_add_sep(vocab_)) {
            frame.between.push_back(llama_vocab_sep(vocab_));
        }
        return frame;
    }
    std::string begin_text() const override { return piece(llama_vocab_bos(vocab_), true); }
    std::string end_text() const override { return piece(llama_vocab_eos(vocab_), true); }
    bool is_end(engine::TokenId token) const override { return llama_vocab_is_eog(vocab_, token); }
    uint32_t size() const override { return static_cast<uint32_t>(size_); }
    size_t piece_bytes_max() const override { return piece_bytes_max_; }

private:
    const llama_vocab* vocab_;
    llama_token size_;
    std::vector<std::string> special_texts_;
    size_t piece_bytes_max_ = 1;
};

}  // namespace

std::unique_ptr<Tokenizer> make_llama_tokenizer(const llama_vocab* vocab) {
    return std::make_unique<LlamaTokenizer>(vocab);
}

Result<std::vector<engine::TokenId>> tokenize_prompt(const Tokenizer& tokenizer,
                                                     const std::vector<PromptPart>& parts,
                                                     uint32_t context_tokens,
                                                     const std::string& param) {
    size_t bytes = 0;
    for (const PromptPart& part : parts) {
        bytes += part.text.size();
    }
    // A token may stand for a character that the vocabulary writes longer or shorter than the text
    // does: hence the factor.
    const size_t at_least = bytes / (tokenizer.piece_bytes_max() * 4);
    if (at_least >= context_tokens) {
        return context_exceeded(at_least, context_tokens, param, true);
    }
    std::vector<engine::TokenId> tokens;
    if (tokenizer.begin_token() >= 0) {
        tokens.push_back(tokenizer.begin_token());
    }
    for (size_t i = 0; i < parts.size(); ++i) {
        std::string_view text = parts[i].text;
        const std::string begin = tokenizer.begin_text();
        // Templates write bos_token themselves; it must not stand there twice.
        if (i == 0 && !tokens.empty() && !begin.empty() && text.starts_with(begin) &&
            !parts[i].is_input) {
            text.remove_prefix(begin.size());
        }
        Result<std::vector<engine::TokenId>> more = tokenizer.tokenize(text, !parts[i].is_input);
        if (!more) {
            return more.error();
        }
        tokens.insert(tokens.end(), more->begin(), more->end());
    }
    return tokens;
}

Error context_exceeded(uint64_t prompt_tokens, uint32_t context_tokens, const std::string& param,
                       bool at_least) {
    return invalid_argument(
        fmt::format(
            "this model's context holds {} tokens, and the prompt alone has {}{}, which leaves "
            "no room for an answer: shorten the prompt",
            context_tokens, at_least ? "at least " : "", prompt_tokens),
        param, "context_length_exceeded");
}

}  // namespace gantry::engine_server
