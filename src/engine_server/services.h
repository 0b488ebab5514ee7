#pragma once
// What the endpoints work with. Everything is used on the io thread, except where a member says
// otherwise.

#include <atomic>
#include <memory>
#include <string>
#include <unordered_set>

#include "base/clock.h"
#include "base/ids.h"
#include "engine/embedder.h"
#include "engine/engine.h"
#include "engine_server/chat_template.h"
#include "engine_server/event_hub.h"
#include "engine_server/grammar/grammar_compiler.h"
#include "engine_server/tokenizer.h"
#include "http/http.h"
#include "speech/transcriber.h"

namespace gantry::engine_server {

// A model that is ready to answer: it generates text, makes embeddings or transcribes, and what
// belongs to the others is empty. The engines come last: they go first, and with them the runner whose vocabulary
// the tokenizer reads.
struct LoadedModel {
    std::unique_ptr<Tokenizer> tokenizer;
    std::string description;

    std::unique_ptr<ChatTemplate> chat_template;
    std::unordered_set<engine::TokenId> kept_tokens;  // ChatTemplate::kept_tokens()
    std::unique_ptr<GrammarCompiler> grammars;  // set with the model
    engine::RunnerCapacity capacity;
    engine::EmbeddingCapacity embedding;
    std::string rerank_template;  // with {query} and {document}; empty: the model has none

    std::unique_ptr<engine::Engine> engine;
    std::unique_ptr<engine::Embedder> embedder;
    std::unique_ptr<speech::Transcriber> transcriber;  // then nothing else but the description
};

// Of what gathers for one answer: bytes of text and log-probabilities.
struct AnswerLimits {
    size_t stream_backlog = 8u << 20;  // what the reader of a stream has not taken yet
    size_t whole_answer = 64u << 20;   // an answer in one piece
};

inline constexpr size_t kLargeBodyBytes = 64u << 10;

struct Services {
    // Their threads have deep stacks: templates and tokenizers recurse.
    http::BlockingPool& pool;
    http::BlockingPool& large_pool;  // one thread
    http::BlockingPool& grammar_pool;  // one thread: a schema holds up nothing else
    EventHub& hub;
    http::asio::io_context& io;
    std::string model_name;   // in answers; empty: the request's own
    std::string listed_name;  // at /v1/models
    AnswerLimits limits;
    const Clock& clock;
    RandomSource& random;
    WallTime started_at;
    std::atomic<float> progress{0};      // of loading, 0..1; written by the loading thread
    std::unique_ptr<LoadedModel> model;  // null while it loads; set once

    // Where a body of so many bytes is worked on. A large one may take a second; it waits for those
    // of its kind, and the others do not wait for it.
    http::BlockingPool& pool_for(size_t body_bytes) {
        return body_bytes > kLargeBodyBytes ? large_pool : pool;
    }
};

}  // namespace gantry::engine_server
