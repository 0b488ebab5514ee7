#pragma once
// POST /v1/rerank, in the shape that Jina's and Cohere's clients share: which documents answer a
// query, the best first. Threads: any.

#include <cstdint>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/json.h"
#include "base/result.h"

namespace gantry::protocol::openai {

inline constexpr size_t kDocumentsMax = 2048;

struct RerankRequest {
    std::string model;
    std::string query;                   // not empty
    std::vector<std::string> documents;  // 1..kDocumentsMax, none empty
    uint32_t top_n = 0;                  // results to give; 0: all
    bool return_documents = false;
};

// Documents are strings or objects with "text". What else the two products know (rank_fields,
// max_chunks_per_doc, truncation ...) is not looked at.
Result<RerankRequest> parse_rerank(const json::value& body);

// The whole answer: `scores` has one for each document, higher is better; equal ones stay in the
// documents' order.
json::object rerank_object(const RerankRequest& request, const std::string& model,
                           const std::vector<float>& scores, uint64_t prompt_tokens,
                           RandomSource& random);

}  // namespace gantry::protocol::openai
