#pragma once
// The embedded engine: many sequences in one forward pass. One thread owns all state (engine_loop.cc); requests come in
// through a bounded queue, events go out through each request's callback.
//
// The step, in five verbs: admit, plan, forward, sample, publish (after nano-vllm's LLMEngine.step).
// Limits: EngineConfig. A sequence may use the whole context; slots don't divide it. Out of KV the youngest sequence is put
// back and recomputed, nobody gets an error.

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "engine/drafter.h"
#include "engine/model_runner.h"

namespace gantry::engine {

struct SamplingParams {
    float temperature = 1.0f;              // 0: greedy
    float top_p = 1.0f;                    // 0..1
    float min_p = 0.0f;                    // 0..1
    int32_t top_k = 0;                     // 0: off
    float presence_penalty = 0.0f;         // -2..2, over the generated tokens
    float frequency_penalty = 0.0f;        // -2..2, over the generated tokens
    float repetition_penalty = 1.0f;       // > 0, over prompt and generated tokens
    std::vector<std::pair<TokenId, float>> logit_bias{};
    uint64_t seed = 0;                     // the random number of token i depends on seed and i only
    bool logprobs = false;
    uint32_t top_logprobs = 0;             // 0..20
    bool ignore_eos = false;
    uint32_t min_tokens = 0;               // no end before so many
    std::vector<TokenId> stop_token_ids{};
};

enum class FinishReason { kStop, kLength, kCancelled, kError };

struct TokenLogprob {
    TokenId token = -1;
    float logprob = 0;
};

struct Timings {                           // milliseconds, the server's own split
    double queue_ms = 0;                   // submitted to first row computed
    double prefill_ms = 0;                 // first row computed to first token
    double decode_ms = 0;                  // first token to last
};

// One event a step a sequence: a token, or the end, or both.
struct TokenEvent {
    std::optional<TokenId> token;          // absent: only the end
    std::optional<TokenLogprob> logprob;   // of the token, before temperature
    std::vector<TokenLogprob> top_logprobs;
    std::optional<FinishReason> finish;    // set: last event
    std::string error;                     // kError: for a person
    ErrorCode error_code = ErrorCode::kInternal;   // kError: kDeadlineExceeded, kInvalidArgument or ours
    uint32_t prompt_tokens = 0;
    uint32_t cached_tokens = 0;            // of the prompt, not computed for this request
    uint32_t completion_tokens = 0;        // so far, this one included; the end-of-generation token is not counted
    Timings timings;                       // complete with the last event
};

// What the answer must look like, as the tokens that may come next: a grammar or a JSON schema, compiled elsewhere. It fails closed:
// where no token is left, or a token was not foreseen, the sequence ends with an error. Its state follows the tokens of one
// sequence; used on the engine's thread only.
class TokenConstraint {
public:
    virtual ~TokenConstraint() = default;
    // A bit a token, 32 a word, the lowest first; set: may come next. End-of-generation tokens are among them when the text may
    // end here, so ignore_eos and min_tokens do not count beside a constraint. Valid until the next call; empty: anything may come.
    virtual std::span<const uint32_t> allowed() = 0;
    // False: the token may not stand here.
    virtual bool accept(TokenId token) = 0;
};

// Admission goes by class first, then by arrival; a class never preempts a higher one.
enum class Priority { kHigh, kNormal, kBatch };

struct SequenceRequest {
    std::vector<TokenId> prompt;           // 1..context-1 tokens
    SamplingParams sampling;
    uint32_t max_tokens = 0;               // 0: to the end of the context
    Priority priority = Priority::kNormal;
    Deadline deadline;                     // past it nothing is computed any more: ends with kError
    std::string cache_salt;                // only requests of the same salt share prefixes
    std::shared_ptr<TokenConstraint> constraint;   // shared only so that requests can be copied; one sequence uses it
    // Called on the engine's thread, in order; must not block (post it elsewhere). Never called after the event with `finish`.
    std::function<void(TokenEvent)> on_event;
};

using SequenceId = uint64_t;

struct EngineConfig {
    uint32_t queue_limit = 1024;           // waiting requests; more: kRateLimited
    uint32_t step_tokens_max = 512;        // rows of one forward
    double step_ms_max = 400;              // the planner keeps steps under this by what steps took so far
    uint32_t cache_cells = std::numeric_limits<uint32_t>::max();   // kept at most of ended sequences, for later prompts to share
    bool calibrate = true;                 // time a few small steps once, while nothing else is to do
    bool speculate = true;                 // guess tokens from the prompt and the answers so far, where that pays
    double sleep_after_s = 0;              // idle for so long, the memory of all cells is given back; 0: never
};

struct EngineStats {
    uint32_t running = 0;
    uint32_t waiting = 0;
    uint32_t kv_cells_used = 0;
    uint32_t kv_cells = 0;
    uint32_t kv_cells_cached = 0;          // of those in use: held by no running sequence
    uint64_t prompt_tokens_total = 0;
    uint64_t cached_tokens_total = 0;      // of the prompt tokens: not computed
    uint64_t drafted_tokens_total = 0;     // guesses computed,
    uint64_t accepted_tokens_total = 0;    // and those of them that were right
    uint64_t generated_tokens_total = 0;
    uint64_t preemptions_total = 0;
    uint64_t steps_total = 0;
    double last_step_ms = 0;
};

class Engine {
public:
    // Starts the loop's thread. The runner and the drafter are used on that thread only, from here on. Without a drafter guesses come
    // from the text itself (PromptLookup), if at all.
    static std::unique_ptr<Engine> start(std::unique_ptr<ModelRunner> runner, EngineConfig config, std::unique_ptr<Drafter> drafter = nullptr);
    virtual ~Engine() = default;           // stops at once: every open sequence ends with kCancelled

    // Errors: kInvalidArgument with both numbers when the prompt does not fit the context or is empty; kRateLimited when the
    // queue is full; kUnavailable when stopping. Threads: any.
    virtual Result<SequenceId> submit(SequenceRequest request) = 0;
    // Within a step, its forward aborted if that takes longer. Unknown ids are ignored. Threads: any.
    virtual void cancel(SequenceId id) = 0;
    virtual EngineStats stats() const = 0;
    // Time since the loop last finished a step or was idle: the liveness by progress.
    virtual double seconds_since_progress() const = 0;
};

}  // namespace gantry::engine
