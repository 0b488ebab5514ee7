#pragma once
// From prompts in tokens to an answer on the wire, whole or as a stream: what chat and legacy
// completions share. Io thread.
//
// A stream's head waits for the first token, so that what fails before it gets a proper status;
// after kPingAfter it goes out with a comment, and so on until tokens come. The client's leaving
// cancels the sequences at once, and so does the deadline that it set.
//
// Tokens become text as they arrive, whether the client reads or not: a stop string ends the
// sequence at once, and what waits for a slow client is text, which the next write takes as one
// chunk a choice. The engine is never held up: it computes to the end of the answer. A reader that
// takes nothing for ServerLimits::write_timeout, or for whom more than AnswerLimits allows waits, loses
// the answer, and the sequences end.

#include <chrono>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "engine_server/answer_format.h"
#include "engine_server/services.h"
#include "http/http.h"
#include "protocol/openai/generation.h"
#include "protocol/openai/responses.h"

namespace gantry::engine_server {

inline constexpr std::chrono::milliseconds kPingAfter{10'000};

struct AnswerPlan {
    protocol::openai::AnswerKind kind = protocol::openai::AnswerKind::kChat;
    std::string model;  // as answers name it
    protocol::openai::Generation generation;
    engine::SamplingParams sampling;  // of the first choice; the others differ in their seed
    std::vector<std::vector<engine::TokenId>> prompts;  // each gets generation.n choices
    std::vector<std::string> echoes;  // text before each prompt's answers; empty: none
    std::string schema;                      // what answers are held to, as checked; empty: nothing
    std::shared_ptr<const AnswerSyntax> syntax;  // how the text is taken apart; null: all is content
    std::shared_ptr<const Grammar> grammar;  // the same, compiled; set before answer() where there is a schema
};

// Checks what only the vocabulary can tell (token ids), draws a seed where none is given.
Result<engine::SamplingParams> make_sampling(const protocol::openai::Generation& generation,
                                             uint32_t vocabulary, RandomSource& random);

// What the engine is asked for one choice of a plan; its on_event is left to the caller.
engine::SequenceRequest sequence_request(const AnswerPlan& plan, uint32_t choice,
                                         Deadline deadline);

// REQUIRES: services.model. Answers the exchange in any case, unless the client is gone.
http::Task<void> answer(http::Exchange& exchange, Services& services, AnswerPlan plan);

// The error in OpenAI's shape with its status and, where trying later helps, Retry-After.
http::Task<void> respond_error(http::Exchange& exchange, Error error);
http::Response error_response(const Error& error);

}  // namespace gantry::engine_server
