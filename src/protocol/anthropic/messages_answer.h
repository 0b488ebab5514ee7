#pragma once
// The answers of POST /v1/messages: the message, and the events of a stream. Internal to protocol/anthropic. Threads: a plain
// value, one request each.

#include <memory>
#include <string>

#include "base/ids.h"
#include "protocol/translator.h"

namespace gantry::protocol::anthropic {

std::unique_ptr<Translator> message_translator(std::string model, MessageOrigins origins, RandomSource& random);
std::unique_ptr<Translator> count_translator(MessageOrigins origins);

}  // namespace gantry::protocol::anthropic
