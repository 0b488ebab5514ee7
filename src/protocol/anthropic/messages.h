#pragma once
// POST /v1/messages and /v1/messages/count_tokens: Anthropic's API, as Claude Code and its SDKs call it. Messages become a
// chat completion; tools, images and thinking go along. Tools that Anthropic's servers run (type "web_search_..." ...),
// documents and files are refused. Input tokens are known at the end of a stream: message_start says 0, message_delta the
// truth. Threads: any.

#include "base/ids.h"
#include "protocol/translator.h"

namespace gantry::protocol::anthropic {

// kInvalidArgument with the path in the client's body. The chat completion is not checked further: parse_chat() does.
Result<Translated> translate_messages(const json::value& body, RandomSource& random);
// The same for a count of the tokens that such a request would have; max_tokens may be missing.
Result<Translated> translate_count_tokens(const json::value& body);

// {"type":"error","error":{"type","message"}}
json::object error_body(int status, const Error& error);

}  // namespace gantry::protocol::anthropic
