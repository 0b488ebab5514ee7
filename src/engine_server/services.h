#pragma once
// What the endpoints work with. Everything is used on the io thread, except where a member says
// otherwise.

#include <atomic>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/ids.h"
#include "engine/engine.h"
#include "engine_server/chat_template.h"
#include "engine_server/event_hub.h"
#include "engine_server/grammar/grammar_compiler.h"
#include "engine_server/tokenizer.h"
#include "http/http.h"

namespace gantry::engine_server {

// A model that is ready to answer. The engine comes last: it goes first, and with it the runner
// whose vocabulary the tokenizer reads.
struct LoadedModel {
    std::unique_ptr<Tokenizer> tokenizer;
    std::unique_ptr<ChatTemplate> chat_template;
    std::unique_ptr<GrammarCompiler> grammars;  // set with the model
    engine::RunnerCapacity capacity;
    std::string description;
    std::unique_ptr<engine::Engine> engine;
};

struct Services {
    http::BlockingPool& pool;  // its threads have deep stacks: templates and tokenizers recurse
    http::BlockingPool& grammar_pool;  // one thread, so that compiling a schema holds up no other work
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
