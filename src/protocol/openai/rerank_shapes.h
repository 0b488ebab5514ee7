#pragma once
// Two other ways to ask for a rerank: Text Embeddings Inference's body of POST /v1/rerank ("texts" instead of "documents",
// answered by a bare array) and vLLM's POST /v1/score. Threads: any.

#include "protocol/translator.h"

namespace gantry::protocol::openai {

// TEI's: query, texts, return_text. Any other body comes back as it is, with no translator.
Result<Translated> translate_rerank(const json::value& body);

// text_1 (or queries): one text, text_2 (or documents): one or several; answered in their order. Several text_1 would be
// several requests, and are refused.
Result<Translated> translate_score(const json::value& body);

}  // namespace gantry::protocol::openai
