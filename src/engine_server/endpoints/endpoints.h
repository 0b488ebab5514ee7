#pragma once
// The routes of `gantry engine`, a file an endpoint. Io thread; what blocks runs on the pools of
// Services.

#include <optional>
#include <string>

#include "engine_server/answer.h"
#include "engine_server/services.h"
#include "http/http.h"

namespace gantry::engine_server {

// Words for http::Route::access.
inline constexpr char kPublic[] = "public";  // anyone who can connect
inline constexpr char kKey[] = "key";        // the API key, where one is set

http::Task<void> chat(http::Exchange& exchange, Services& services);  // POST /v1/chat/completions
http::Task<void> completions(http::Exchange& exchange, Services& services);  // POST /v1/completions
http::Task<void> embeddings(http::Exchange& exchange, Services& services);  // POST /v1/embeddings
http::Task<void> rerank(http::Exchange& exchange, Services& services);      // POST /v1/rerank
http::Task<void> transcriptions(http::Exchange& exchange, Services& services);  // POST /v1/audio/transcriptions
http::Task<void> translations(http::Exchange& exchange, Services& services);  // POST /v1/audio/translations
http::Task<void> list_models(http::Exchange& exchange, Services& services);  // GET /v1/models
http::Task<void> get_model(http::Exchange& exchange, Services& services);  // GET /v1/models/{id...}
http::Task<void> health(http::Exchange& exchange, Services& services);     // GET /health
http::Task<void> metrics(http::Exchange& exchange, Services& services);    // GET /metrics
// POST /tokenize {"content" | "prompt","add_special"?,"parse_special"?} or {"messages","tools"?...} as a
// chat -> {"count","max_model_len","tokens":[...]}; POST /detokenize {"tokens"} -> {"content"}.
http::Task<void> tokenize(http::Exchange& exchange, Services& services);
http::Task<void> detokenize(http::Exchange& exchange, Services& services);

// All of the above into `router`, whose handlers keep a reference to `services`.
void add_routes(http::Router& router, Services& services);

// For AnswerPlan::schema.
Result<std::string> schema_of(const protocol::openai::ResponseFormat& format);
// What this engine can't do of a chat.
Status check_chat(const protocol::openai::ChatRequest& request);
// By the model's template; for threads of a pool. `constrained`: ChatTemplate::render.
Result<ChatPrompt> render_chat(const protocol::openai::ChatRequest& request, bool constrained,
                               Services& services);

// kUnavailable while the model loads.
std::optional<Error> not_ready(const Services& services);

// kInvalidArgument "unsupported_model_capability": the model is there, and is for something else.
Error wrong_kind_of_model(const std::string& why);

Error hears_only();  // of a model that transcribes

// What an answer calls the model: the name given to the server, else the request's, else the file's.
std::string answering_name(const Services& services, const std::string& requested);

// Refuses while the model loads; runs `plan` (parsing, templates, tokenizing) with the body on the
// pool; answers what it made of it.
http::Task<void> plan_and_answer(http::Exchange& exchange, Services& services,
                                 Result<AnswerPlan> (*plan)(const std::string& body,
                                                            Services& services));

}  // namespace gantry::engine_server
