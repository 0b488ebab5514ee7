#pragma once
// EmbeddingRunner on libllama and ggml: encoders (BERT and its kin), and decoders whose last token stands for the text. Encoders see
// all tokens of an input at once, so one forward is one piece of work for libllama and batch_rows is what its buffers hold.
// Threads: create() any, forward() and vector() the embedder's thread only; the vocabulary any.

#include <memory>
#include <optional>
#include <string>

#include "engine/embedding_runner.h"
#include "engine/llama_runner.h"

namespace gantry::engine {

// What the model's file is for: vectors by its own pooling ("<architecture>.pooling_type"), or by their mean where an encoder names
// none; nullopt: it generates text.
std::optional<Pooling> pooling_of(const llama_model* model);

class LlamaEmbeddingRunner : public EmbeddingRunner {
public:
    // Of the options: context_tokens is the longest input (0: what the model was trained for, at most 8192), max_sequences the inputs
    // of one forward (0: 256), batch_rows its tokens (0: 512, or the longest input). All are cut to what memory holds; kUnavailable
    // when that is not even 256 tokens. kInvalidArgument when the model can't do this: kRank without a classification head.
    static Result<std::unique_ptr<LlamaEmbeddingRunner>> create(LlamaModelPtr model, Pooling pooling, const LlamaOptions& options);
    virtual const llama_model* model() const = 0;      // lives as long as the runner
};

}  // namespace gantry::engine
