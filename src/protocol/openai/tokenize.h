#pragma once
// POST /v1/tokenize and /v1/detokenize, in vLLM's shape: a text or the messages of a chat to token ids, and back. What goes
// to an engine serves ours, vLLM and llama-server, which call the text "content". Threads: any.

#include "protocol/translator.h"

namespace gantry::protocol::openai {

// {"model","prompt" | "messages"...} -> {"count","tokens","max_model_len"?}
Result<Translated> translate_tokenize(const json::value& body);
// {"model","tokens"} -> {"prompt"}
Result<Translated> translate_detokenize(const json::value& body);

}  // namespace gantry::protocol::openai
