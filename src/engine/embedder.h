#pragma once
// The embedded engine for vectors: inputs of all requests wait in one queue, and as many as fit are computed in one forward, who
// waits longest first. One thread owns all state; jobs come in through a bounded queue, answers go out through each job's callback.
// Limits: EmbedderConfig, and the runner's EmbeddingCapacity.

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/result.h"
#include "engine/embedding_runner.h"

namespace gantry::engine {

using Vectors = std::vector<std::vector<float>>;

// What one request wants computed: it is answered when the last of its inputs is.
struct EmbeddingJob {
    std::vector<std::vector<TokenId>> inputs;          // at least one, each of 1 to input_tokens tokens
    // Called once, on the embedder's thread; must not block. A vector an input, in their order; kInternal when the model library
    // failed, kCancelled, or kUnavailable when the embedder ends.
    std::function<void(Result<Vectors>)> on_done;
};

using EmbeddingJobId = uint64_t;

struct EmbedderConfig {
    uint32_t queue_limit = 8192;   // waiting inputs; a job that does not fit beside others is refused: kRateLimited
};

struct EmbedderStats {
    uint32_t waiting = 0;          // inputs not computed yet
    uint64_t inputs_total = 0;     // computed
    uint64_t tokens_total = 0;
    uint64_t forwards_total = 0;
    double last_forward_ms = 0;
};

class Embedder {
public:
    // Starts the thread. The runner is used on it only, from here on.
    static std::unique_ptr<Embedder> start(std::unique_ptr<EmbeddingRunner> runner, EmbedderConfig config = {});
    virtual ~Embedder() = default;   // stops at once: open jobs end with kUnavailable

    // Errors: kInvalidArgument, with both numbers when an input is too long; kRateLimited; kUnavailable. Threads: any.
    virtual Result<EmbeddingJobId> submit(EmbeddingJob job) = 0;
    // Its waiting inputs are not computed; a forward that is for cancelled jobs only is cut short. Unknown ids are ignored.
    // Threads: any.
    virtual void cancel(EmbeddingJobId id) = 0;
    virtual EmbedderStats stats() const = 0;
    // Time since a forward ended or there was nothing to do: the liveness by progress.
    virtual double seconds_since_progress() const = 0;
};

// kInvalidArgument "context_length_exceeded" with both numbers; `param` names the field.
Error input_too_long(uint64_t tokens, uint32_t input_tokens, const std::string& param);

}  // namespace gantry::engine
