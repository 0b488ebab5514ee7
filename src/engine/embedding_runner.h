#pragma once
// The seam between queueing and computing where texts become vectors. LlamaEmbeddingRunner is libllama on ggml; FakeEmbeddingRunner
// is arithmetic for tests. As model_runner.h is for generated text, but without state: a forward leaves nothing behind.

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "engine/model_runner.h"

namespace gantry::engine {

// How the vectors of an input's tokens become one.
enum class Pooling {
    kMean,   // their mean
    kCls,    // the first token's
    kLast,   // the last token's
    kRank,   // none: a classification head on the first (or, in causal models, the last) token gives a score
};

const char* to_string(Pooling pooling);                          // "mean", "cls", "last", "rank"
std::optional<Pooling> pooling_named(const std::string& name);   // nullopt: none of these

struct EmbeddingCapacity {
    uint32_t input_tokens = 0;   // of one input at most
    uint32_t batch_rows = 0;     // tokens of one forward at most; not under input_tokens
    uint32_t batch_inputs = 0;   // inputs of one forward at most
    uint32_t dimensions = 0;     // numbers of one vector; with kRank, of one head's output
    uint32_t vocabulary = 0;
    Pooling pooling = Pooling::kMean;
};

using EmbeddingInput = std::span<const TokenId>;

class EmbeddingRunner {
public:
    virtual ~EmbeddingRunner() = default;
    virtual EmbeddingCapacity capacity() const = 0;

    // Computes all inputs in one pass; kDone or kAborted. REQUIRES: within the capacity, none empty, ids of the vocabulary.
    virtual Result<ForwardOutcome> forward(std::span<const EmbeddingInput> inputs) = 0;
    // What the last forward made of its input `index`, as the model gave it: not of unit length. Valid until the next one.
    virtual std::span<const float> vector(size_t index) const = 0;

    // Raised from any thread to cut a running forward short; forward() lowers it when it starts.
    virtual std::atomic<bool>& abort_flag() = 0;
};

}  // namespace gantry::engine
