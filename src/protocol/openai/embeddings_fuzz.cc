// Any bytes as the body of an embeddings or rerank request: an answer or a clean refusal.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/json.h"
#include "protocol/openai/embeddings.h"
#include "protocol/openai/errors.h"
#include "protocol/openai/rerank.h"
#include "protocol/openai/upstream.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace gantry;
    using namespace gantry::protocol::openai;
    const Result<json::value> body = parse_json({reinterpret_cast<const char*>(data), size});
    if (!body) {
        return 0;
    }
    const Result<EmbeddingsRequest> embeddings = parse_embeddings(*body);
    if (embeddings) {
        const size_t count = embeddings->inputs.size();
        GANTRY_ASSERT(count >= 1 && count <= kEmbeddingInputsMax, "inputs are in their range");
        const std::vector<std::vector<float>> vectors(count, {0.5F, -1});
        const std::string answer = embeddings_json(embeddings->model, vectors, embeddings->base64, 1);
        GANTRY_ASSERT(parse_json(answer).ok(), "an answer is JSON");
    } else {
        GANTRY_ASSERT(parse_json(error_json(embeddings.error())).ok(), "an error is JSON");
    }
    const Result<RerankRequest> rerank = parse_rerank(*body);
    if (rerank) {
        const size_t count = rerank->documents.size();
        GANTRY_ASSERT(count >= 1 && count <= kDocumentsMax, "documents are in their range");
        const std::vector<float> scores(count, 0.25F);
        const json::object answer =
            rerank_object(*rerank, rerank->model, scores, 1, *seeded_random(1));
        GANTRY_ASSERT(parse_json(json::serialize(answer)).ok(), "an answer is JSON");
    } else {
        GANTRY_ASSERT(parse_json(error_json(rerank.error())).ok(), "an error is JSON");
    }
    if (body->is_object()) {
        (void)forward_body(body->get_object(), embedding_fields());
        (void)forward_body(body->get_object(), rerank_fields());
    }
    return 0;
}
