#pragma once
// What the endpoints work with. Everything is used on the io thread, except where a member says
// otherwise.

#include <atomic>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/ids.h"
#include "engine/embedder.h"
#include "engine/engine.h"
#include "engine_server/chat_template.h"
#include "engine_server/event_hub.h"
#include "engine_server/tokenizer.h"
#include "http/http.h"

namespace gantry::engine_server {

// A model that is ready to answer: it generates text or makes embeddings, and what belongs to the
// other is empty. The engines come last: they go first, and with them the runner whose vocabulary
// the tokenizer reads.
struct LoadedModel {
    std::unique_ptr<Tokenizer> tokenizer;
    std::string description;

    std::unique_ptr<ChatTemplate> chat_template;
    engine::RunnerCapacity capacity;
    engine::EmbeddingCapacity embedding;
    std::string rerank_template;  // with {query} and {document}; empty: the model has none

    std::unique_ptr<engine::Engine> engine;
    std::unique_ptr<engine::Embedder> embedder;
};

struct Services {
    http::BlockingPool& pool;  // its threads have deep stacks: templates and tokenizers recurse
    EventHub& hub;
    http::asio::io_context& io;
    std::string model_name;   // in answers; empty: the request's own
    std::string listed_name;  // at /v1/models
    const Clock& clock;
    RandomSource& random;
    WallTime started_at;
    std::atomic<float> progress{0};      // of loading, 0..1; written by the loading thread
    std::unique_ptr<LoadedModel> model;  // null while it loads; set once
};

}  // namespace gantry::engine_server
