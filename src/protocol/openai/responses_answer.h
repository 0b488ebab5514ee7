#pragma once
// The answers of POST /v1/responses: the response object, and the typed events of a stream, numbered. Internal to
// protocol/openai. Threads: a plain value, one request each.

#include <memory>
#include <string>

#include "base/ids.h"
#include "protocol/translator.h"

namespace gantry::protocol::openai {

// What an answer repeats of its request.
struct ResponsesEcho {
    json::object fields;       // in every response object, as they are
    MessageOrigins origins;    // for errors
};

std::unique_ptr<Translator> responses_translator(ResponsesEcho echo, RandomSource& random);

}  // namespace gantry::protocol::openai
