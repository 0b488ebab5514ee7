// The endpoints of the OpenAI surface.

#include "gateway/gateway.h"

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <span>

#include "base/json_arena.h"
#include "gateway/answers.h"
#include "gateway/limiter.h"
#include "gateway/media.h"
#include "gateway/relay.h"
#include "gateway/request_log.h"
#include "gateway/resolve.h"
#include "gateway/trace_context.h"
#include "protocol/anthropic/messages.h"
#include "protocol/openai/chat.h"
#include "protocol/openai/completions.h"
#include "protocol/openai/embeddings.h"
#include "protocol/openai/errors.h"
#include "protocol/openai/fields.h"
#include "protocol/openai/rerank.h"
#include "protocol/openai/rerank_shapes.h"
#include "protocol/openai/responses_request.h"
#include "protocol/openai/tokenize.h"
#include "protocol/openai/upstream.h"
#include "protocol/translator.h"

namespace gantry::gateway {
namespace {

namespace openai = protocol::openai;
using http::Exchange;
using http::Task;

// What is asked for, after everything in the body was found valid.
struct Asked {
    std::string model{};
    std::string first_media{};               // ChatRequest has both
    std::optional<Error> unfit_picture{};
};
using Validate = Result<Asked> (*)(const json::value& body);

Result<Asked> not_empty(Result<std::string> model) {
    if (model) model = named(*std::move(model));
    if (!model) return std::move(model).error();
    return Asked{*std::move(model)};
}

template <class Request>
Result<Asked> model_of(Result<Request> request) {
    if (!request) return std::move(request).error();
    return not_empty(std::move(request->model));
}

Result<Asked> validate_chat(const json::value& body) {
    Result<openai::ChatRequest> chat = openai::parse_chat(body);
    Result<Asked> asked = chat ? not_empty(std::move(chat->model)) : Result<Asked>(std::move(chat).error());
    if (!asked) return asked;
    asked->first_media = std::move(chat->first_media);
    asked->unfit_picture = std::move(chat->unfit_picture);
    return asked;
}
Result<Asked> validate_completion(const json::value& body) { return model_of(openai::parse_completion(body)); }
Result<Asked> validate_embeddings(const json::value& body) { return model_of(openai::parse_embeddings(body)); }
Result<Asked> validate_rerank(const json::value& body) { return model_of(openai::parse_rerank(body)); }
// Of a body that holds nothing else to check.
Result<Asked> validate_model(const json::value& body) { return not_empty(openai::parse_model(body.get_object())); }
Result<Asked> validate_tokenize(const json::value& body) {
    return body.get_object().contains("messages") ? validate_chat(body) : validate_model(body);
}

// Other APIs' requests as what engines understand.
using Translate = Result<protocol::Translated> (*)(const json::value& body, const Clock& clock);

Result<protocol::Translated> from_responses(const json::value& body, const Clock& clock) {
    return openai::translate_responses(body, system_random(), clock.wall());
}
Result<protocol::Translated> from_messages(const json::value& body, const Clock&) {
    return protocol::anthropic::translate_messages(body, system_random());
}
Result<protocol::Translated> from_count(const json::value& body, const Clock&) {
    return protocol::anthropic::translate_count_tokens(body);
}
Result<protocol::Translated> from_rerank(const json::value& body, const Clock&) { return openai::translate_rerank(body); }
Result<protocol::Translated> from_score(const json::value& body, const Clock&) { return openai::translate_score(body); }
Result<protocol::Translated> from_tokenize(const json::value& body, const Clock&) { return openai::translate_tokenize(body); }
Result<protocol::Translated> from_detokenize(const json::value& body, const Clock&) { return openai::translate_detokenize(body); }

struct Operation {
    const char* name;                                       // in usage records and metrics
    const char* path;                                       // behind /v1
    const char* engine_path;                                // at the engine
    Translate translate;                                    // null: the engine is asked in the client's words
    Validate validate;                                      // what is asked of the engine
    std::span<const std::string_view> (*fields)();          // that go on to the engine
    const char* answer_key;                                 // what an answer has in any case
    bool computes = true;                                   // tokens, which its answers count
};

constexpr const char* kChatAtEngine = "/v1/chat/completions";
constexpr Operation kRerank = {"rerank", "/rerank", "/v1/rerank", from_rerank, validate_rerank, openai::rerank_fields, "results"};
constexpr Operation kChat = {"chat", "/chat/completions", kChatAtEngine, nullptr, validate_chat, openai::chat_fields, "choices"};
constexpr Operation kOperations[] = {
    kChat,
    {"response", "/responses", kChatAtEngine, from_responses, validate_chat, openai::chat_fields, "choices"},
    {"message", "/messages", kChatAtEngine, from_messages, validate_chat, openai::chat_fields, "choices"},
    {"completion", "/completions", "/v1/completions", nullptr, validate_completion, openai::completion_fields, "choices"},
    {"embedding", "/embeddings", "/v1/embeddings", nullptr, validate_embeddings, openai::embedding_fields, "data"},
    kRerank,
    {"score", "/score", "/v1/rerank", from_score, validate_rerank, openai::rerank_fields, "results"},
    {"count_tokens", "/messages/count_tokens", "/tokenize", from_count, validate_chat, openai::tokenize_fields, "tokens", false},
    {"tokenize", "/tokenize", "/tokenize", from_tokenize, validate_tokenize, openai::tokenize_fields, "tokens", false},
    {"detokenize", "/detokenize", "/detokenize", from_detokenize, validate_model, openai::tokenize_fields, {}, false},
};

constexpr size_t kDocumentBytes = 16u << 10;   // of usual bodies
constexpr size_t kBodyBytesMore = 64;          // an engine's body may be longer by so much

// A request while it is answered.
struct Running {
    Running(LiveRequests& all, const Exchange& exchange, SteadyTime begun, const char* operation) : live(all, exchange, begun, operation) {
        job.begun = begun;
        job.live = &live;
    }
    LiveRequests::Entry live;   // outlives the job
    Job job;
};

// Counts a request while it is answered.
class InFlight {
public:
    explicit InFlight(prometheus::Gauge& gauge) : gauge_(gauge) { gauge_.Increment(); }
    ~InFlight() { gauge_.Decrement(); }
    InFlight(const InFlight&) = delete;
    InFlight& operator=(const InFlight&) = delete;

private:
    prometheus::Gauge& gauge_;
};

Status check_coding(const http::Headers& headers) {
    const std::string_view coding = headers.get("content-encoding");
    if (coding.empty() || coding == "identity") return Ok{};
    return Error{ErrorCode::kInvalidArgument, "Send the body as it is, without Content-Encoding.", {}, "unsupported_media_type"};
}

// Bodies are JSON whatever a client calls them (curl -d says it sends a form), but not these.
Status check_media_type(const http::Headers& headers) {
    GANTRY_TRY(check_coding(headers));
    if (headers.get("content-type").starts_with("multipart/")) {
        return Error{ErrorCode::kInvalidArgument, "This endpoint takes JSON, not a multipart form.", {}, "unsupported_media_type"};
    }
    return Ok{};
}

bool is_outside(const ModelEntry* way) { return way->outside.has_value(); }

// Of those who may be asked the ones that take what is in the messages beside text. None: why, with the part's path.
Status keep_ways_for_media(const Asked& asked, std::vector<const ModelEntry*>& ways) {
    if (asked.first_media.empty()) return Ok{};
    std::erase_if(ways, [](const ModelEntry* way) { return way->text_only; });
    if (ways.empty()) {
        return invalid_argument("this model takes text only: send text parts, or choose a model for images or audio", asked.first_media,
                                "unsupported_content");
    }
    if (asked.unfit_picture) std::erase_if(ways, [](const ModelEntry* way) { return !is_outside(way); });
    return ways.empty() ? Status(*asked.unfit_picture) : Status(Ok{});
}

openai::ModelEntry shown(const ModelEntry& entry) {
    openai::ModelEntry model;
    model.id = entry.name;
    model.created = to_unix_ms(entry.created_at) / 1000;
    if (entry.context_length > 0) model.meta["context_length"] = entry.context_length;
    if (!entry.modality.empty()) model.meta["modality"] = entry.modality;
    if (!entry.pooling.empty()) model.meta["pooling"] = entry.pooling;
    if (entry.outside) model.meta["provider"] = entry.outside->provider;
    model.meta["ready_instances"] = entry.targets.size();
    if (entry.targets.empty()) model.meta["not_ready_reason"] = entry.stopped ? "stopped" : entry.not_ready_reason;
    return model;
}

Task<void> show_openapi(Exchange& exchange) {
    http::Response response = http::json_response(200, std::string(openapi_json()));
    response.headers.set("cache-control", "no-cache");
    co_await exchange.respond(std::move(response));
}

class GatewayImpl final : public Gateway {
public:
    GatewayImpl(http::asio::io_context& io, Tables& tables, std::unique_ptr<Meter> meter, const Clock& clock,
                const GatewayOptions& options)
        : tables_(tables), clock_(clock), meter_(std::move(meter)), activity_(clock), waiting_(io, tables, clock, activity_, metrics_, options),
          limiter_(io, tables, clock, options.tokens_used), relay_(io, clock, options, *meter_, metrics_, waiting_), retry_(io) {}

    void add_routes(http::Router& router) override {
        for (const std::string& root : {std::string("/v1"), std::string("/v1-openai")}) {
            for (const Operation& operation : kOperations) {
                router.add({"POST", root + operation.path, kInference,
                            [this, &operation](Exchange& exchange) { return perform(exchange, operation); }});
            }
            for (const MediaOperation& operation : media_operations()) {
                router.add({"POST", root + operation.path, kInference,
                            [this, &operation](Exchange& exchange) {
                                return perform(exchange, operation.name,
                                               [this, &exchange, &operation](Job& job) { return prepare_media(exchange, operation, job); });
                            },
                            operation.body_bytes});
            }
            router.add({"GET", root + "/models", kInference, [this](Exchange& exchange) { return list_models(exchange); }});
            router.add({"GET", root + "/models/{id...}", kInference, [this](Exchange& exchange) { return show_model(exchange); }});
            router.add({"GET", root + "/openapi.json", kInference, show_openapi});
        }
        router.add({"POST", "/v2/rerank", kInference, [this](Exchange& exchange) { return perform(exchange, kRerank); }});   // Cohere's
    }

    http::Handler chat() override {
        return [this](Exchange& exchange) { return perform(exchange, kChat); };
    }

    void start() override { limiter_.start(); }

    Status fold_journal(const std::function<Status(const std::vector<UsageRecord>&)>& store) override {
        return meter_->fold(store);
    }

    bool rotate_journal() override { return meter_->rotate(); }

    uint32_t in_flight(const InstanceId& instance) const override { return relay_.in_flight(instance); }
    LiveRequests& live() override { return live_; }
    Activity& activity() override { return activity_; }
    void end_holds() override { waiting_.close(); }

private:
    Task<void> perform(Exchange& exchange, const Operation& operation) {
        // Anthropic's clients show this one.
        if (std::string_view(operation.path).starts_with("/messages")) exchange.answer_headers.set("request-id", exchange.request().id);
        return perform(exchange, operation.name, [this, &exchange, &operation](Job& job) { return prepare(exchange, operation, job); });
    }

    // `prepare`: what is asked of which engine, from the body.
    Task<void> perform(Exchange& exchange, const char* operation, std::function<Status(Job&)> prepare) {
        const InFlight counted(metrics_.in_flight());
        const auto owned = std::make_unique<Running>(live_, exchange, clock_.steady(), operation);   // apart: large frames are slow to get
        Job& job = owned->job;
        job.trace = traceparent_of(exchange.request().headers);
        job.record.operation = operation;
        const Principal& who = principal(exchange);
        if (who.limited()) {
            std::optional<Quota::Refusal> over = limiter_.admit(exchange, job.lease);
            if (over && over->reason == Quota::Reason::kUnknown) {
                co_await limiter_.wait();
                over = limiter_.admit(exchange, job.lease);
            }
            limiter_.show(exchange);
            if (over) {
                Refusal refusal = limiter_.refuse(exchange, *over);
                co_await refuse(exchange, operation, job, std::move(refusal));
                co_return;
            }
        }
        if (Status ready = prepare(job); !ready) {
            Refusal refusal(job.translator ? job.translator->renamed(std::move(ready).error()) : std::move(ready).error());
            if (refusal.error.reason == "unsupported_media_type") refusal.status = 415;
            if (refusal.error.code == ErrorCode::kUnavailable) refusal.retry_after_s = retry_after_s(*job.routes, job.record.model);
            co_await refuse(exchange, operation, job, std::move(refusal));
            co_return;
        }
        job.live->set_asked(job.record.model, job.stream, job.body.text.size());
        job.record.request_id = exchange.request().id;
        job.record.user_id = who.user_id;
        job.record.key_id = who.key_id;
        co_await relay_.run(exchange, job);
        retry_journal_later();
    }

    Task<void> refuse(Exchange& exchange, const char* operation, Job& job, Refusal refusal) {
        job.lease = {};   // before the answer: with it the client may send the next request
        metrics_.request_done(operation, refusal.status);
        exchange.log_fields = log_fields(principal(exchange), job.record, job.trace, openai::reason_of(refusal.error));
        http::Response response = answer_of(refusal, exchange.request().path);
        co_await exchange.respond(std::move(response));
    }

    Status prepare_media(Exchange& exchange, const MediaOperation& operation, Job& job) {
        http::Request& request = exchange.request();
        job.routes = tables_.routes();
        GANTRY_TRY(check_coding(request.headers));
        Result<MediaRequest> asked = operation.read(request);
        if (!asked) return std::move(asked).error();
        request.body = {};
        job.record.model = std::move(asked->model);
        GANTRY_TRY(find_ways(exchange, job));
        GANTRY_TRY(keep_able(operation.ability, job));
        job.stream = asked->stream;
        job.answer = asked->answer;
        job.answer_key = asked->answer_key;
        job.answer_types = std::move(asked->answer_types);
        job.body = std::move(asked->body);
        job.target = std::string("/v1") + operation.path;
        job.computes = false;
        job.media = true;
        return Ok{};
    }

    // Who may be asked for the model of the record.
    Status find_ways(Exchange& exchange, Job& job) {
        GANTRY_TRY(limiter_.check_model(principal(exchange), job.record.model));
        const double uniform = job.routes->routes.empty() ? 0 : system_random().uniform();
        Result<std::vector<const ModelEntry*>> ways = resolve_ways(*job.routes, job.record.model, uniform);
        if (!ways) return ways.error();
        job.ways = *std::move(ways);
        return Ok{};
    }

    // Of them those that can do it; why, where none can.
    Status keep_able(Ability ability, Job& job) {
        Status first = check_ability(*job.ways.front(), ability);
        std::erase_if(job.ways, [ability](const ModelEntry* way) { return !check_ability(*way, ability); });
        if (job.ways.empty()) return first;
        job.model = job.ways.front();
        use_ways(job);
        return Ok{};
    }

    Status prepare(Exchange& exchange, const Operation& operation, Job& job) {
        http::Request& request = exchange.request();
        job.routes = tables_.routes();
        GANTRY_TRY(check_media_type(request.headers));
        JsonArena<kDocumentBytes> arena;
        Result<json::value> body = parse_json(request.body, arena.memory());
        if (!body) return body.error();
        if (operation.translate != nullptr) {
            Result<protocol::Translated> translated = operation.translate(*body, clock_);
            if (!translated) return translated.error();
            body = json::value(std::move(translated->body));
            job.translator = std::move(translated->translator);
        }
        Result<Asked> asked = operation.validate(*body);
        if (!asked) return asked.error();
        job.record.model = asked->model;
        GANTRY_TRY(find_ways(exchange, job));
        const bool at_v1 = std::string_view(operation.engine_path).starts_with("/v1/");   // what others have, too
        if (!at_v1) std::erase_if(job.ways, is_outside);
        if (job.ways.empty()) {
            return Error{ErrorCode::kInvalidArgument, "This model is an outside provider's, which counts no tokens beforehand.", "model",
                         "unsupported_operation"};
        }
        GANTRY_TRY(keep_ways_for_media(*asked, job.ways));
        GANTRY_TRY(keep_able(Ability::kText, job));
        json::object forward = openai::forward_body(std::move(body->get_object()), operation.fields());
        const bool counts_messages = !operation.computes && forward.contains("messages");
        if (counts_messages && job.model->backend == BackendKind::kLlamaServer) {
            return Error{ErrorCode::kInvalidArgument,
                         "llama-server, which runs this model, counts the tokens of a text only: send 'prompt' to /v1/tokenize.", "messages",
                         "unsupported_operation"};
        }
        job.stream = openai::wants_stream(forward);
        job.answer = job.stream ? Answer::kStream : Answer::kWhole;
        job.wants_usage = openai::wants_usage(forward);
        job.max_tokens = openai::max_tokens_of(forward);
        if (job.stream) openai::ask_for_usage(forward);
        job.body = write_body(forward, std::any_of(job.ways.begin(), job.ways.end(), is_outside), request.body.size() + kBodyBytesMore);
        request.body = {};  // held once, not twice, while the engine works
        job.target = operation.engine_path;
        job.answer_key = operation.answer_key;
        job.computes = operation.computes;
        return Ok{};
    }

    // Before anything is waited for: none of them is put to sleep while this request may still come to it.
    void use_ways(Job& job) {
        for (size_t i = 0; i < std::min(job.ways.size(), job.uses.size()); ++i) {
            if (!is_outside(job.ways[i])) job.uses[i] = activity_.use(job.ways[i]->deployment_id);
        }
    }

    Task<void> list_models(Exchange& exchange) {
        const auto routes = tables_.routes();
        const std::string_view all = exchange.request().query_value("all");
        const bool every = all == "true" || all == "1";
        std::vector<openai::ModelEntry> models;
        limiter_.show(exchange);
        const auto add = [&](const ModelEntry& entry) {
            if (!principal(exchange).may_use(entry.name)) return;
            if (every || answers(entry)) models.push_back(shown(entry));
        };
        for (const auto& [name, entry] : routes->models) add(entry);
        for (const auto& [name, route] : routes->routes) add(shown_as_model(*routes, route));
        std::sort(models.begin(), models.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
        http::Response response = http::json_response(200, json::serialize(openai::model_list(models)));
        co_await exchange.respond(std::move(response));
    }

    Task<void> show_model(Exchange& exchange) {
        const auto routes = tables_.routes();
        const std::string& id = exchange.request().params["id"];
        limiter_.show(exchange);
        const RouteTable nothing;   // what may not be used is not there
        const RouteTable& seen = principal(exchange).may_use(id) ? *routes : nothing;
        const auto found = seen.models.find(id);
        const auto route = seen.routes.find(id);
        http::Response response;
        if (route != seen.routes.end()) {
            response = http::json_response(200, json::serialize(openai::model_object(shown(shown_as_model(seen, route->second)))));
        } else if (found == seen.models.end()) {
            response = answer_of(Refusal(resolve(seen, id).error()), exchange.request().path);
        } else {
            response = http::json_response(200, json::serialize(openai::model_object(shown(found->second))));
        }
        co_await exchange.respond(std::move(response));
    }

    // While the disk refuses records, tries again now and then even if no request comes.
    void retry_journal_later() {
        if (meter_->waiting() == 0 || retrying_) return;
        retrying_ = true;
        retry_.expires_after(std::chrono::seconds(1));
        retry_.async_wait([this](const boost::system::error_code& failure) {
            if (failure) return;  // destroyed: `this` is no more
            retrying_ = false;
            meter_->flush();
            retry_journal_later();
        });
    }

    const Tables& tables_;
    const Clock& clock_;
    GatewayMetrics metrics_;
    std::unique_ptr<Meter> meter_;
    LiveRequests live_;
    Activity activity_;
    WaitingRoom waiting_;   // of requests that the relay has
    Limiter limiter_;   // outlives the requests' leases
    Relay relay_;
    http::asio::steady_timer retry_;
    bool retrying_ = false;
};

}  // namespace

Result<std::unique_ptr<Gateway>> Gateway::create(http::asio::io_context& io, Tables& tables, std::string journal_dir,
                                                 const Clock& clock, GatewayOptions options) {
    Result<std::unique_ptr<Meter>> meter = Meter::open(
        std::move(journal_dir), options.journal_file_bytes,
        [&io](std::function<void()> work) { return http::before_sends(io, std::move(work)); });
    if (!meter) return std::move(meter).error();
    return std::unique_ptr<Gateway>(new GatewayImpl(io, tables, std::move(meter).value(), clock, options));
}

}  // namespace gantry::gateway
