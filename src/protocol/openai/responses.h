#pragma once
// Answers of the OpenAI API: whole ones and the chunks of a stream. An AnswerWriter holds what all
// chunks of one answer share (id, created, model), already written, so that they can't differ and a
// token costs little. Threads: a plain value.
//
// A stream is: for each choice a first delta with the role, text deltas, a delta with
// finish_reason; then, only when usage was asked for, one chunk with `choices: []` and `usage`
// (chunks before it have no such key); then kStreamEnd.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "base/json.h"
#include "protocol/openai/tool_call.h"

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

enum class AnswerKind { kChat, kCompletion };

// The log-probabilities of tokens as JSON text, written token by token as these arrive: twenty of
// them for each token of a long answer are tens of megabytes, too much to write in one go.
class LogprobsText {
public:
    explicit LogprobsText(AnswerKind kind) : kind_(kind) {}

    void add(const TokenLogprobView& token);
    bool empty() const { return tokens_.empty(); }
    size_t bytes() const { return tokens_.size() + values_.size() + tops_.size() + offsets_.size(); }
    // The value of "logprobs" for what was added since the last take(). REQUIRES: !empty().
    std::string take();

private:
    AnswerKind kind_;
    std::string tokens_;  // chat: all that there is; legacy: the first of four parallel arrays
    std::string values_;
    std::string tops_;
    std::string offsets_;
    uint64_t offset_ = 0;  // in the text of the whole answer
};

struct Choice {
    uint32_t index = 0;
    std::string text;
    std::string finish_reason;  // "stop", "length", "tool_calls"
    std::string logprobs = "null";  // JSON
    std::string stop_reason{};           // as for finish_chunk()
    std::string reasoning{};             // chat only, as what follows
    std::vector<ToolCall> tool_calls{};  // with some, an empty text is null
};

inline constexpr const char* kStreamEnd =
    "[DONE]";  // the data of the last event of an unbroken stream

// Everything is appended to `out` as JSON text in one line.
class AnswerWriter {
public:
    // `service_tier`: the one that serves the request, where it named one; else empty.
    AnswerWriter(AnswerKind kind, RandomSource& random, WallTime now, const std::string& model,
                 std::string_view service_tier = {});

    const std::string& id() const { return id_; }

    void role_chunk(std::string& out, uint32_t choice) const;  // chat only
    // `logprobs`: JSON.
    void text_chunk(std::string& out, uint32_t choice, std::string_view text,
                    std::string_view logprobs = "null") const;
    void reasoning_chunk(std::string& out, uint32_t choice, std::string_view text) const;
    // A piece of the call `index`: its head has id and name, the others only arguments.
    void call_chunk(std::string& out, uint32_t choice, uint32_t index, const ToolCall& piece) const;
    // `stop_reason`: the stop string that ended it (vLLM's field); empty: none did.
    void finish_chunk(std::string& out, uint32_t choice, std::string_view finish_reason,
                      std::string_view stop_reason) const;
    void usage_chunk(std::string& out, const Usage& usage, const AnswerTimings& timings) const;
    void answer(std::string& out, const std::vector<Choice>& choices, const Usage& usage,
                const AnswerTimings& timings) const;

private:
    AnswerKind kind_;
    std::string id_;          // "chatcmpl-..." or "cmpl-..."
    std::string chunk_head_;  // what all chunks have in common, up to and with "choices":
    std::string answer_head_;
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
