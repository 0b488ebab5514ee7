#pragma once
// Answers of the OpenAI API: whole objects and the chunks of a stream. An AnswerWriter holds what
// all chunks of one answer share (id, created, model), so that they can't differ. Threads: a plain
// value.
//
// A stream is: for each choice a first delta with the role, text deltas, a delta with
// finish_reason; then, only when usage was asked for, one chunk with `choices: []` and `usage`
// (chunks before it have no such key); then kStreamEnd.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "base/json.h"

namespace gantry::protocol::openai {

struct Usage {
    uint32_t prompt_tokens = 0;
    uint32_t completion_tokens = 0;
    uint32_t cached_tokens = 0;     // of the prompt
    uint32_t reasoning_tokens = 0;  // of the completion
};

// Ours, beside usage: where the server's time went. Milliseconds.
struct AnswerTimings {
    double queue_ms = 0;
    double prefill_ms = 0;
    double decode_ms = 0;
};

// Token texts may be parts of a character: "token" then has U+FFFD, "bytes" the true bytes.
struct TokenLogprobView {
    std::string token;
    double logprob = 0;
    std::vector<std::pair<std::string, double>> top;
};
using Logprobs = std::vector<TokenLogprobView>;

struct Choice {
    uint32_t index = 0;
    std::string text;
    std::string finish_reason;           // "stop", "length"
    const Logprobs* logprobs = nullptr;  // null: not asked for
};

enum class AnswerKind { kChat, kCompletion };

inline constexpr const char* kStreamEnd =
    "[DONE]";  // the data of the last event of an unbroken stream

class AnswerWriter {
public:
    AnswerWriter(AnswerKind kind, RandomSource& random, WallTime now, std::string model);

    const std::string& id() const { return id_; }

    json::object role_chunk(uint32_t choice) const;  // chat only
    json::object text_chunk(uint32_t choice, const std::string& text,
                            const Logprobs* logprobs = nullptr) const;
    json::object finish_chunk(uint32_t choice, const std::string& finish_reason) const;
    json::object usage_chunk(const Usage& usage, const AnswerTimings& timings) const;
    json::object answer(const std::vector<Choice>& choices, const Usage& usage,
                        const AnswerTimings& timings) const;

private:
    json::object base(bool chunk) const;

    AnswerKind kind_;
    std::string id_;   // "chatcmpl-..." or "cmpl-..."
    int64_t created_;  // seconds
    std::string model_;
};

json::object usage_object(const Usage& usage);

// GET /v1/models. `meta`: what we say beyond OpenAI's fields; empty: left out.
struct ModelEntry {
    std::string id;
    int64_t created = 0;  // seconds
    std::string owned_by = "gantry";
    json::object meta;
};
json::object model_object(const ModelEntry& model);
json::object model_list(const std::vector<ModelEntry>& models);

}  // namespace gantry::protocol::openai
