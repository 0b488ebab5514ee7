// The endpoints of the OpenAI surface.

#include "gateway/gateway.h"

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <span>

#include "base/json.h"
#include "gateway/answers.h"
#include "gateway/relay.h"
#include "gateway/resolve.h"
#include "protocol/openai/chat.h"
#include "protocol/openai/completions.h"
#include "protocol/openai/embeddings.h"
#include "protocol/openai/rerank.h"
#include "protocol/openai/upstream.h"

namespace gantry::gateway {
namespace {

namespace openai = protocol::openai;
using http::Exchange;
using http::Task;

// The name of the model asked for, after everything else in the body was found valid.
using Validate = Result<std::string> (*)(const json::value& body);

template <class Request>
Result<std::string> model_of(Result<Request> request) {
    if (!request) return std::move(request).error();
    if (request->model.empty()) return invalid_argument("model is missing: name one of those that GET /v1/models lists.", "model");
    return std::move(request->model);
}

struct Operation {
    const char* name;                                       // in usage records and metrics
    const char* path;                                       // behind /v1, here and at the engine
    Validate validate;
    std::span<const std::string_view> (*fields)();          // that go on to the engine
    const char* answer_key;                                 // what an answer has in any case
};

constexpr Operation kOperations[] = {
    {"chat", "/chat/completions", [](const json::value& body) { return model_of(openai::parse_chat(body)); }, openai::chat_fields,
     "choices"},
    {"completion", "/completions", [](const json::value& body) { return model_of(openai::parse_completion(body)); },
     openai::completion_fields, "choices"},
    {"embedding", "/embeddings", [](const json::value& body) { return model_of(openai::parse_embeddings(body)); },
     openai::embedding_fields, "data"},
    {"rerank", "/rerank", [](const json::value& body) { return model_of(openai::parse_rerank(body)); }, openai::rerank_fields, "results"},
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

// Bodies are JSON whatever a client calls them (curl -d says it sends a form), but not these.
Status check_media_type(const http::Headers& headers) {
    const std::string_view coding = headers.get("content-encoding");
    if (!coding.empty() && coding != "identity") {
        return Error{ErrorCode::kInvalidArgument, "Send the body as it is, without Content-Encoding.", {}, "unsupported_media_type"};
    }
    if (headers.get("content-type").starts_with("multipart/")) {
        return Error{ErrorCode::kInvalidArgument, "This endpoint takes JSON, not a multipart form.", {}, "unsupported_media_type"};
    }
    return Ok{};
}

openai::ModelEntry shown(const ModelEntry& entry) {
    openai::ModelEntry model;
    model.id = entry.name;
    model.created = to_unix_ms(entry.created_at) / 1000;
    if (entry.context_length > 0) model.meta["context_length"] = entry.context_length;
    if (!entry.pooling.empty()) model.meta["pooling"] = entry.pooling;
    model.meta["ready_instances"] = entry.targets.size();
    if (entry.targets.empty()) model.meta["not_ready_reason"] = entry.stopped ? "stopped" : entry.not_ready_reason;
    return model;
}

class GatewayImpl final : public Gateway {
public:
    GatewayImpl(http::asio::io_context& io, const Tables& tables, std::unique_ptr<Meter> meter, const Clock& clock,
                const GatewayOptions& options)
        : tables_(tables), clock_(clock), meter_(std::move(meter)), relay_(io, clock, options, *meter_, metrics_), retry_(io) {}

    void add_routes(http::Router& router) override {
        for (const std::string& root : {std::string("/v1"), std::string("/v1-openai")}) {
            for (const Operation& operation : kOperations) {
                router.add({"POST", root + operation.path, kInference,
                            [this, &operation](Exchange& exchange) { return perform(exchange, operation); }});
            }
            router.add({"GET", root + "/models", kInference, [this](Exchange& exchange) { return list_models(exchange); }});
            router.add({"GET", root + "/models/{id...}", kInference, [this](Exchange& exchange) { return show_model(exchange); }});
        }
    }

    Status fold_journal(const std::function<Status(const std::vector<UsageRecord>&)>& store) override {
        return meter_->fold(store);
    }

    uint32_t in_flight(const InstanceId& instance) const override { return relay_.in_flight(instance); }

private:
    Task<void> perform(Exchange& exchange, const Operation& operation) {
        const InFlight counted(metrics_.in_flight());
        Job job;
        job.begun = clock_.steady();
        job.routes = tables_.routes();
        http::Response refusal;
        if (!prepare(exchange, operation, job, refusal)) {
            metrics_.request_done(operation.name, refusal.status);
            co_await exchange.respond(std::move(refusal));
            co_return;
        }
        job.record.operation = operation.name;
        co_await relay_.run(exchange, std::move(job));
        retry_journal_later();
    }

    // Everything before an engine is asked. False: `refusal` is the answer.
    bool prepare(Exchange& exchange, const Operation& operation, Job& job, http::Response& refusal) {
        http::Request& request = exchange.request();
        if (const Status media = check_media_type(request.headers); !media) {
            refusal = error_answer(415, media.error());
            return false;
        }
        const Result<json::value> body = parse_json(request.body);
        const Result<std::string> model = body ? operation.validate(*body) : Result<std::string>(body.error());
        if (!model) {
            refusal = error_answer(model.error());
            return false;
        }
        const Result<const ModelEntry*> entry = resolve(*job.routes, *model);
        if (!entry) {
            const bool waits = entry.error().code == ErrorCode::kUnavailable;
            const int wait_s = waits ? retry_after_s(*job.routes, *model) : 0;
            refusal = error_answer(entry.error(), wait_s);
            if (waits && wait_s == 0) refusal.headers.set("x-should-retry", "false");
            return false;
        }
        job.model = *entry;
        const json::object& fields = body->get_object();
        json::object forward = openai::forward_body(fields, operation.fields());
        job.stream = openai::wants_stream(forward);
        job.wants_usage = openai::wants_usage(forward);
        if (job.stream) openai::ask_for_usage(forward);
        job.body = json::serialize(forward);
        request.body = {};  // held once, not twice, while the engine works
        job.target = std::string("/v1") + operation.path;
        job.answer_key = operation.answer_key;
        const Principal& who = principal(exchange);
        job.record.request_id = request.id;
        job.record.user_id = who.user_id;
        job.record.key_id = who.key_id;
        job.record.model = job.model->name;
        return true;
    }

    Task<void> list_models(Exchange& exchange) {
        const auto routes = tables_.routes();
        const std::string_view all = exchange.request().query_value("all");
        const bool every = all == "true" || all == "1";
        std::vector<openai::ModelEntry> models;
        for (const auto& [name, entry] : routes->models) {
            if (every || (!entry.targets.empty() && !entry.stopped)) models.push_back(shown(entry));
        }
        std::sort(models.begin(), models.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
        http::Response response = http::json_response(200, json::serialize(openai::model_list(models)));
        co_await exchange.respond(std::move(response));
    }

    Task<void> show_model(Exchange& exchange) {
        const auto routes = tables_.routes();
        const std::string& id = exchange.request().params["id"];
        const auto found = routes->models.find(id);
        http::Response response;
        if (found == routes->models.end()) {
            response = error_answer(resolve(*routes, id).error());
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
    Relay relay_;
    http::asio::steady_timer retry_;
    bool retrying_ = false;
};

}  // namespace

Result<std::unique_ptr<Gateway>> Gateway::create(http::asio::io_context& io, const Tables& tables, std::string journal_dir,
                                                 const Clock& clock, GatewayOptions options) {
    Result<std::unique_ptr<Meter>> meter = Meter::open(std::move(journal_dir), options.journal_file_bytes);
    if (!meter) return std::move(meter).error();
    return std::unique_ptr<Gateway>(new GatewayImpl(io, tables, std::move(meter).value(), clock, options));
}

}  // namespace gantry::gateway
