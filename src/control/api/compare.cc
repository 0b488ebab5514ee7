// POST /api/v1/compare: chat requests at once, one a panel, their events over one stream, each tagged by its panel: a browser opens
// six connections to a host and no more, and a page that compares six panels needs one for itself. Each panel is a request like
// any other: it passes the gateway's limits, is metered, stands in the list of live requests and is cancelled with its client.
#include <boost/asio/co_spawn.hpp>
#include <fmt/format.h>

#include "control/api/api.h"
#include "protocol/management/fields.h"

namespace gantry::control {
namespace {

constexpr size_t kPanelsMax = 16;
constexpr size_t kWaitingBytesMax = 1u << 20;   // of events that the client has not taken; panels wait beyond it
constexpr std::chrono::milliseconds kPingEvery{15'000};

// What the panels have said and the client has not got yet.
struct Outbox {
    explicit Outbox(http::asio::io_context& io) : changed(io), taken(io) {}
    std::string text;
    http::Signal changed;      // text came, a panel ended, the client left
    http::Signal taken;
    size_t running = 0;        // panels
    bool client_gone = false;

    void add(const char* event, size_t panel, std::string_view field, std::string_view value) {
        const std::string data = field.empty() ? fmt::format("{{\"panel\":{}}}", panel)
                                               : fmt::format("{{\"panel\":{},\"{}\":{}}}", panel, field, value);
        text += http::sse_event(data, event);
        changed.notify();
    }
};

// What the gateway takes for a connection of its own.
class PanelExchange final : public http::Exchange {
public:
    PanelExchange(size_t panel, http::Request request, std::any principal, Outbox& outbox)
        : panel_(panel), request_(std::move(request)), outbox_(outbox) {
        context = std::move(principal);
    }

    const http::Request& request() const override { return request_; }
    http::Request& request() override { return request_; }
    bool started() const override { return status_ != 0; }
    bool client_gone() const override { return outbox_.client_gone; }
    int status() const override { return status_; }
    void on_client_gone(std::function<void()> callback) override { on_gone_ = std::move(callback); }
    void tell_client_gone() {
        if (const auto told = std::exchange(on_gone_, {})) told();
    }

    http::Task<bool> respond(http::Response response) override {
        status_ = response.status;
        std::string body = std::move(response.body);
        if (!parse_json(body)) body = json::serialize(json::string(body));
        outbox_.add("error", panel_, "body", body);
        co_return !outbox_.client_gone;
    }
    http::Task<bool> start_stream(int code, http::Headers) override {
        status_ = code;
        co_return !outbox_.client_gone;
    }
    http::Task<bool> write(std::string_view bytes) override {
        const auto events = reader_.feed(bytes);
        if (!events) co_return false;
        for (const http::SseEvent& event : *events) {
            if (event.data != "[DONE]") outbox_.add("chunk", panel_, "chunk", event.data);
        }
        while (outbox_.text.size() > kWaitingBytesMax && !outbox_.client_gone) co_await outbox_.taken.wait(kPingEvery);
        co_return !outbox_.client_gone;
    }
    http::Task<bool> finish() override { co_return !outbox_.client_gone; }
    void abort() override {}

private:
    const size_t panel_;
    http::Request request_;
    Outbox& outbox_;
    http::SseReader reader_;
    std::function<void()> on_gone_;
    int status_ = 0;
};

// The bodies of the chat requests, made to stream.
Result<std::vector<std::string>> parse_panels(const std::string& body) {
    const auto object = protocol::management::parse_object(body);
    if (!object) return object.error();
    protocol::management::FieldReader reader(*object);
    reader.require("panels");
    const json::array* panels = reader.array("panels");
    GANTRY_TRY(reader.finish());
    if (panels->empty() || panels->size() > kPanelsMax) {
        return invalid_argument(fmt::format("\"panels\" must hold 1 to {} chat requests", kPanelsMax), "panels");
    }
    std::vector<std::string> bodies;
    for (const json::value& panel : *panels) {
        if (!panel.is_object()) {
            return invalid_argument("each of \"panels\" must be the body of a request to /v1/chat/completions", "panels");
        }
        json::object chat = panel.get_object();
        chat["stream"] = true;
        chat["stream_options"] = json::object{{"include_usage", true}};
        bodies.push_back(json::serialize(chat));
    }
    return bodies;
}

http::Request panel_request(const http::Request& whole, size_t panel, std::string body) {
    http::Request request = whole;
    request.id = fmt::format("{}-{}", whole.id, panel);
    request.path = request.target = "/v1/chat/completions";
    request.body = std::move(body);
    return request;
}

// Sends what there is until every panel has ended. Nothing of the outbox may go before them.
http::Task<void> pump(http::Exchange& exchange, Outbox& outbox, const std::vector<std::unique_ptr<PanelExchange>>& panels) {
    while (outbox.running > 0 || !outbox.text.empty()) {
        if (!outbox.text.empty()) {
            const std::string text = std::exchange(outbox.text, {});
            if (!outbox.client_gone) co_await exchange.write(text);
            outbox.taken.notify();
        } else {
            const bool woken = co_await outbox.changed.wait(kPingEvery);
            if (!woken && !outbox.client_gone) co_await exchange.write(http::kSsePing);
        }
        if (exchange.client_gone() && !outbox.client_gone) {
            outbox.client_gone = true;
            for (const auto& panel : panels) panel->tell_client_gone();
            outbox.taken.notify();
        }
    }
}

http::Task<void> refuse(http::Exchange& exchange, Error error) {
    http::Response response = to_response(error_answer(error));
    co_await exchange.respond(std::move(response));
}

http::Task<void> compare(ApiContext& api, http::Exchange& exchange) {
    auto bodies = parse_panels(exchange.request().body);
    if (bodies && !api.options.chat) bodies = unavailable("this server has no gateway");
    if (!bodies) {
        co_await refuse(exchange, bodies.error());
        co_return;
    }
    exchange.request().body = {};
    Outbox outbox(api.io);
    std::vector<std::unique_ptr<PanelExchange>> panels;
    for (size_t i = 0; i < bodies->size(); ++i) {
        http::Request request = panel_request(exchange.request(), i, std::move((*bodies)[i]));
        panels.push_back(std::make_unique<PanelExchange>(i, std::move(request), exchange.context, outbox));
    }
    http::Headers headers{{"content-type", "text/event-stream"}, {"cache-control", "no-store"}};
    const bool began = co_await exchange.start_stream(200, std::move(headers));
    if (!began) co_return;
    exchange.on_client_gone([&outbox] { outbox.changed.notify(); });
    exchange.log_fields = fmt::format("panels={}", panels.size());
    outbox.running = panels.size();
    for (size_t i = 0; i < panels.size(); ++i) {
        http::asio::co_spawn(api.io, api.options.chat(*panels[i]), [&outbox, i](const std::exception_ptr& failed) {
            if (failed) outbox.add("error", i, "body", R"({"error":{"message":"the server failed at this panel; its log says how",)"
                                                       R"("type":"server_error","param":null,"code":"internal_error"}})");
            outbox.add("done", i, {}, {});
            --outbox.running;
            outbox.changed.notify();
        });
    }
    co_await pump(exchange, outbox, panels);
    exchange.on_client_gone({});
    co_await exchange.finish();
}

}  // namespace

void add_compare_routes(http::Router& router, ApiContext& api) {
    router.add({"POST", "/api/v1/compare", gateway::kInference,
                [&api](http::Exchange& exchange) { return compare(api, exchange); }});
}

}  // namespace gantry::control
