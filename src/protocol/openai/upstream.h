#pragma once
// For the gateway: what of a request goes on to an engine, and what is read from the engine's
// answer. Threads: any.

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "protocol/openai/responses.h"

namespace gantry::protocol::openai {

// The fields that go on to an engine: OpenAI's and the extensions that engines share. What else a
// client sends (grammar, slot_id, n_discard, chat_template, lora, ... ) is an engine's internal and
// is dropped.
std::span<const std::string_view> chat_fields();
std::span<const std::string_view> completion_fields();
std::span<const std::string_view> embedding_fields();
std::span<const std::string_view> rerank_fields();
std::span<const std::string_view> tokenize_fields();

// Only the allowed fields, in their order of arrival; inside stream_options and
// chat_template_kwargs only what we know. service_tier "priority" becomes "default" and a negative
// `priority` 0, since keys carry no permission yet to go ahead of others.
json::object forward_body(json::object original, std::span<const std::string_view> allowed);

// Whether `stream` is true, and whether the client itself asked for the usage chunk.
bool wants_stream(const json::object& body);
bool wants_usage(const json::object& body);
// The most that may be written: `max_completion_tokens`, else `max_tokens`; nullopt: neither is a number from 0 on.
std::optional<uint32_t> max_tokens_of(const json::object& body);
// Sets stream_options.include_usage. REQUIRES: wants_stream(body).
void ask_for_usage(json::object& body);

// The usage in an answer or a chunk; nullopt: none (absent, null or not an object). Numbers out of
// range count as 0.
std::optional<Usage> usage_of(const json::object& answer);
std::optional<AnswerTimings> timings_of(const json::object& answer);
// The same from what stands there.
Usage usage_in(const json::object& fields);
std::optional<AnswerTimings> timings_in(const json::object& fields);
// True for the extra chunk at a stream's end: `choices` empty and usage there. A client that did
// not ask must not get it.
bool is_usage_chunk(const json::object& chunk);
// Whether a chunk carries something for a person to read: content, reasoning, text or a tool call,
// not empty (for TTFT and to count tokens where the engine gives no usage).
bool has_output(const json::object& chunk);

}  // namespace gantry::protocol::openai
