#pragma once
// Text to tokens and back, as the endpoints need it. The real one is the model's vocabulary in
// libllama; tests bring their own. Threads: any; all functions are const and libllama's vocabulary
// is read-only once loaded.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/model_runner.h"

struct llama_vocab;

namespace gantry::engine_server {

// A stretch of a prompt. Input is what a client wrote inside a message: special tokens' texts in it
// are text, not tokens.
struct PromptPart {
    std::string text;
    bool is_input = false;
};

// What a model was trained to see around a text, and between the two texts of a pair.
struct TextFrame {
    std::vector<engine::TokenId> begin;
    std::vector<engine::TokenId> between;
    std::vector<engine::TokenId> end;
};

class Tokenizer {
public:
    virtual ~Tokenizer() = default;

    // Special tokens' texts become those tokens when `parse_special`.
    virtual Result<std::vector<engine::TokenId>> tokenize(std::string_view text,
                                                          bool parse_special) const = 0;
    // The token's bytes: maybe part of a character. Control tokens are empty unless `special`.
    virtual std::string piece(engine::TokenId token, bool special = false) const = 0;
    // Where the texts of control tokens, which only the template may write, begin in `text`.
    virtual std::vector<size_t> special_text_starts(std::string_view text) const = 0;

    virtual engine::TokenId begin_token()
        const = 0;                               // put before a prompt; -1: the model wants none
    virtual TextFrame frame() const { return {}; }  // for embeddings: BERT's [CLS] and [SEP]
    virtual std::string begin_text() const = 0;  // what templates call bos_token; may be empty
    virtual std::string end_text() const = 0;    // eos_token
    virtual bool is_end(engine::TokenId token) const = 0;  // ends a text: there may be several
    virtual uint32_t size() const = 0;           // ids are 0..size-1
    virtual size_t piece_bytes_max() const = 0;  // no token stands for more bytes of text than this
};

// `vocab` must outlive it.
std::unique_ptr<Tokenizer> make_llama_tokenizer(const llama_vocab* vocab);

// The tokens of a whole prompt, the begin token first where the model wants one. A text too long
// for `context_tokens` in any case is refused before the work of tokenizing it. `param` names the
// field in errors.
Result<std::vector<engine::TokenId>> tokenize_prompt(const Tokenizer& tokenizer,
                                                     const std::vector<PromptPart>& parts,
                                                     uint32_t context_tokens,
                                                     const std::string& param);

// kInvalidArgument "context_length_exceeded" with both numbers.
Error context_exceeded(uint64_t prompt_tokens, uint32_t context_tokens, const std::string& param,
                       bool at_least = false);

}  // namespace gantry::engine_server
