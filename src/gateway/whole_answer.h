#pragma once
// An engine's answer that is not streamed: whether it is one, what it says of itself, and what of it the client gets. Pure.

#include <optional>
#include <string>

#include "base/result.h"
#include "protocol/openai/responses.h"
#include "protocol/translator.h"

namespace gantry::gateway {

struct WholeOptions {
    const char* key = "choices";                  // what an answer has in any case; null: nothing
    std::string model;                            // the public name
    bool foreign = false;                         // the engine may call the model something else
    protocol::Translator* translator = nullptr;   // into another API's shape; null: none
};

struct WholeAnswer {
    bool valid = false;                           // an object with the key
    std::optional<Error> error;                   // not valid: what the engine says, if it says something
    std::optional<protocol::openai::Usage> usage;
    std::optional<protocol::openai::AnswerTimings> timings;
};

// `text` becomes the client's where the answer is valid: byte for byte but for the model's name, or translated.
WholeAnswer read_whole(std::string& text, const WholeOptions& options);

}  // namespace gantry::gateway
