#pragma once
// POST /v1/responses: OpenAI's newer way to ask for an answer. Stateless here: nothing is stored, so that a client sends the
// whole conversation each time (`store: false`, as most agents do); `previous_response_id` is refused. Tools that a server
// runs itself (web search, code interpreter ...) are refused too. Threads: any.

#include "base/clock.h"
#include "base/ids.h"
#include "protocol/translator.h"

namespace gantry::protocol::openai {

// kInvalidArgument with the path in the client's body. The chat completion is not checked further: parse_chat() does, and
// Translator::renamed() gives its errors the client's paths.
Result<Translated> translate_responses(const json::value& body, RandomSource& random, WallTime now);

}  // namespace gantry::protocol::openai
