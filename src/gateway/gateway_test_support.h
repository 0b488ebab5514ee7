#pragma once
// For this folder's tests: a gateway behind a real server, and engines that do what a script says.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>

#include "base/json.h"
#include "base/metrics.h"
#include "gateway/api_key.h"
#include "gateway/gateway.h"
#include "http/http_test_support.h"
#include "http/middleware/access_log.h"

namespace gantry::gateway {

using http::eventually;
using http::Exchange;
using http::Headers;
using http::Task;
using namespace std::chrono_literals;

// A chunk of a stream as our engine writes it.
inline std::string chunk(const std::string& content) {
    return R"({"id":"c1","object":"chat.completion.chunk","created":1,"model":"tiny","choices":[{"index":0,"delta":{"content":")" +
           content + R"("},"finish_reason":null}]})";
}
inline const std::string kFinish =
    R"({"id":"c1","object":"chat.completion.chunk","created":1,"model":"tiny","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})";
inline const std::string kUsage =
    R"({"id":"c1","object":"chat.completion.chunk","created":1,"model":"tiny","choices":[],"usage":{"prompt_tokens":11,)"
    R"("completion_tokens":2,"total_tokens":13,"prompt_tokens_details":{"cached_tokens":8}},"timings":{"queue_ms":1.5}})";
inline const std::string kAnswer =
    R"({"id": "c1", "model":"tiny","choices":[{"index":0,"message":{"role":"assistant","content":"hé"},"finish_reason":"stop"}],)"
    R"("usage":{"prompt_tokens":11,"completion_tokens":2,"total_tokens":13},"timings":{"queue_ms":1.5}})";
inline std::string data(const std::string& json) { return "data: " + json + "\n\n"; }
inline const std::string kDone = "data: [DONE]\n\n";

// An engine on a Unix socket. Its script answers every request; it is told the engine.
class ScriptedEngine {
public:
    using Script = std::function<Task<void>(Exchange&, ScriptedEngine&)>;

    ScriptedEngine(const std::string& socket, Script script) : script_(std::move(script)), socket_(socket) {
        for (const char* path : {"/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/rerank", "/tokenize", "/detokenize",
                                 "/out/chat/completions", "/out/completions", "/out/embeddings", "/out/rerank", "/v1/audio/transcriptions",
                                 "/v1/audio/translations", "/v1/audio/speech", "/v1/images/generations", "/v1/images/edits",
                                 "/v1/images/variations", "/out/audio/transcriptions", "/out/images/generations"}) {
            server_.route("POST", path, [this](Exchange& exchange) {
                const std::lock_guard lock(mutex_);
                seen_.push_back(exchange.request());
                return script_(exchange, *this);
            });
        }
        server_.start_unix(socket);
    }
    ~ScriptedEngine() { server_.stop(0ms); }
    std::string endpoint() const { return "unix:" + socket_; }
    std::vector<http::Request> seen() const {
        const std::lock_guard lock(mutex_);
        return seen_;
    }
    size_t running() { return server_.exchanges(); }
    size_t connections() { return server_.connections(); }

private:
    Script script_;
    std::string socket_;
    mutable std::mutex mutex_;
    std::vector<http::Request> seen_;
    http::TestServer server_;
};

// Scripts. Those that are coroutines take no captures: their state is in their parameters.
inline Task<void> write_all(Exchange& exchange, std::vector<std::string> pieces, std::string type, bool end) {
    Headers headers;
    headers.set("content-type", type);
    co_await exchange.start_stream(200, std::move(headers));
    for (const std::string& piece : pieces) co_await exchange.write(piece);
    if (end) {
        co_await exchange.finish();
    } else {
        exchange.abort();
    }
}
// Sends these pieces, one write each, then ends the body.
inline ScriptedEngine::Script streams(std::vector<std::string> pieces, std::string type = "text/event-stream") {
    return [=](Exchange& exchange, ScriptedEngine&) { return write_all(exchange, pieces, type, true); };
}
// The same, then the connection breaks.
inline ScriptedEngine::Script streams_and_dies(std::vector<std::string> pieces) {
    return [=](Exchange& exchange, ScriptedEngine&) { return write_all(exchange, pieces, "text/event-stream", false); };
}
inline Task<void> respond_with(Exchange& exchange, http::Response response) { co_await exchange.respond(std::move(response)); }
inline ScriptedEngine::Script answers(int status, std::string body, Headers headers = {}) {
    return [=](Exchange& exchange, ScriptedEngine&) {
        http::Response response = http::json_response(status, body);
        for (const auto& [name, value] : headers) response.headers.set(name, value);
        return respond_with(exchange, std::move(response));
    };
}
inline Task<void> stall_after(Exchange& exchange, std::vector<std::string> pieces) {
    if (!pieces.empty()) {
        Headers headers;
        headers.set("content-type", "text/event-stream");
        co_await exchange.start_stream(200, std::move(headers));
        for (const std::string& piece : pieces) co_await exchange.write(piece);
    }
    while (!exchange.client_gone()) co_await http::sleep_for(1ms);
}
// Sends these, then nothing until the gateway leaves.
inline ScriptedEngine::Script stalls(std::vector<std::string> pieces) {
    return [=](Exchange& exchange, ScriptedEngine&) { return stall_after(exchange, pieces); };
}

class GatewayRig : public testing::Test {
protected:
    void SetUp() override {
        std::string pattern = (std::filesystem::temp_directory_path() / "gw_XXXXXX").string();
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        dir_ = pattern;
        User user;
        user.id = UserId("usr_1");
        user.name = "ann";
        User admin = user;
        admin.id = UserId("usr_2");
        admin.name = "root";
        admin.role = Role::kAdmin;
        admin.must_change_password = true;
        auth_.users = {{user.id, user}, {admin.id, admin}};
        key_ = make_key(system_random());
        ApiKey row;
        row.id = ApiKeyId("key_1");
        row.user_id = user.id;
        row.public_id = key_.public_id;
        row.secret_digest = key_.secret_digest;
        auth_.keys[row.public_id] = row;
        const WallTime later = system_clock().wall() + std::chrono::hours(1);
        auth_.sessions[digest("ann-token")] = {digest("ann-token"), user.id, later, later};
        auth_.sessions[digest("root-token")] = {digest("root-token"), admin.id, later, later};
        tables_.set(auth_);
        options_.idle_timeout = 10s;
        options_.answer_timeout = 10s;
    }
    void TearDown() override {
        if (server_) {
            std::promise<void> stopped;
            http::asio::co_spawn(io_, server_->stop(Deadline::after(0ms)), [&](const std::exception_ptr&) { stopped.set_value(); });
            stopped.get_future().get();
            guard_.reset();
            io_.stop();
            thread_.join();
        }
        engines_.clear();
        std::filesystem::remove_all(dir_);
    }

    ScriptedEngine& engine(ScriptedEngine::Script script) {
        const std::string socket = dir_ / ("e" + std::to_string(engines_.size()));
        engines_.push_back(std::make_unique<ScriptedEngine>(socket, std::move(script)));
        return *engines_.back();
    }
    static Target target_of(const std::string& id, const std::string& endpoint, const std::string& key = {}) {
        return Target{InstanceId(id), endpoint, key};
    }
    ModelEntry& model(const std::string& name, std::vector<Target> targets, BackendKind backend = BackendKind::kEngine) {
        ModelEntry entry;
        entry.name = name;
        entry.backend = backend;
        entry.created_at = from_unix_ms(1'700'000'000'000);
        entry.targets = std::move(targets);
        return routes_.models[name] = entry;
    }
    // One model "tiny" on one engine that does as the script says, and the gateway started.
    ScriptedEngine& serve(ScriptedEngine::Script script, BackendKind backend = BackendKind::kEngine) {
        ScriptedEngine& only = engine(std::move(script));
        model("tiny", {target_of("ins_0", only.endpoint())}, backend);
        start();
        return only;
    }
    void start() {
        tables_.set(routes_);
        auto gateway = Gateway::create(io_, tables_, dir_ / "journal", system_clock(), options_);
        ASSERT_TRUE(gateway.ok());
        gateway_ = std::move(gateway).value();
        gateway_->start();
        gateway_->add_routes(router_);
        const http::Handler whoami = [](Exchange& exchange) {
            return respond_with(exchange, http::text_response(200, principal(exchange).user_name));
        };
        router_.add({"GET", "/test/user", kUser, whoami});
        router_.add({"POST", "/test/user", kUser, whoami});
        router_.add({"GET", "/test/admin", kAdmin, whoami});
        router_.add({"POST", "/test/password", kOwnPassword, whoami});
        router_.add({"GET", "/test/typo", "usr", whoami});
        router_.add({"GET", "/test/public", kPublic, [](Exchange& exchange) {
                         return respond_with(exchange, http::text_response(200, "all"));
                     }});
        http::ServerOptions options;
        options.error_response = openai_error_response;
        server_.emplace(io_, router_, options);
        Authentication authentication = make_authentication(tables_, router_, system_clock());
        if (access_log_) server_->use(http::access_log());
        server_->use(host_check({"known.example"}));
        server_->use(authentication.middleware);
        server_->on_head(authentication.head_check);
        const auto port = server_->listen_tcp("127.0.0.1", 0, "public");
        ASSERT_TRUE(port.ok());
        port_ = *port;
        thread_ = std::thread([this] { io_.run(); });
    }

    http::Client::Call call(const std::string& method, const std::string& target, const std::string& body = {}) const {
        http::Client::Call out{method, target, {{"authorization", "Bearer " + key_.text}}, body};
        if (!body.empty()) out.headers.set("content-type", "application/json");
        return out;
    }
    http::SimpleResponse send(const http::Client::Call& sent) const {
        const auto response = http::fetch("tcp:127.0.0.1:" + std::to_string(port_), sent);
        EXPECT_TRUE(response.ok()) << (response.ok() ? "" : response.error().message);
        return response.ok() ? *response : http::SimpleResponse{};
    }
    http::SimpleResponse get(const std::string& target) const { return send(call("GET", target)); }
    static std::string chat_body(bool stream, const std::string& more = {}, const std::string& model = "tiny") {
        return R"({"model":")" + model + R"(","messages":[{"role":"user","content":"hi"}],"stream":)" + (stream ? "true" : "false") +
               more + "}";
    }
    http::SimpleResponse chat(bool stream, const std::string& more = {}, const std::string& model = "tiny") const {
        return send(call("POST", "/v1/chat/completions", chat_body(stream, more, model)));
    }
    std::string raw_chat(bool stream) const {
        const std::string body = chat_body(stream);
        return "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + key_.text +
               "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    }
    // The error's code, after a look at the shape: all four keys, and a request id.
    static std::string error_code(const http::SimpleResponse& response, int status) {
        EXPECT_EQ(response.status, status) << response.body;
        EXPECT_FALSE(response.headers.get("x-request-id").empty());
        const auto parsed = parse_json(response.body);
        const json::object& error = parsed.value().at("error").as_object();
        EXPECT_EQ(error.size(), 4u);
        for (const char* key : {"message", "type", "param", "code"}) EXPECT_TRUE(error.contains(key)) << key;
        return error.at("code").is_string() ? std::string(error.at("code").as_string()) : "";
    }
    // All usage records so far; waits for `count` of them.
    const std::vector<UsageRecord>& records(size_t count) {
        EXPECT_TRUE(eventually([&] {
            const Status folded = gateway_->fold_journal([&](const std::vector<UsageRecord>& more) -> Status {
                records_.insert(records_.end(), more.begin(), more.end());
                return Ok{};
            });
            EXPECT_TRUE(folded.ok());
            return records_.size() >= count;
        }));
        EXPECT_EQ(records_.size(), count);
        records_.resize(std::max(count, records_.size()));  // a test that misses some fails, it does not crash
        return records_;
    }
    // What `ask` finds in the gateway, on its thread.
    template <class Ask>
    auto on_gateway(Ask ask) {
        std::promise<decltype(ask(std::declval<Gateway&>()))> answer;
        http::asio::post(io_, [&] { answer.set_value(ask(*gateway_)); });
        return answer.get_future().get();
    }
    // The same of the list of requests.
    template <class Ask>
    auto on_io(Ask ask) {
        return on_gateway([&](Gateway& gateway) { return ask(gateway.live()); });
    }
    uint32_t in_flight(const std::string& instance) {
        return on_gateway([&](const Gateway& gateway) { return gateway.in_flight(InstanceId(instance)); });
    }

    std::filesystem::path dir_;
    AuthTable auth_;
    RouteTable routes_;
    NewKey key_;
    Tables tables_;
    GatewayOptions options_;
    std::vector<std::unique_ptr<ScriptedEngine>> engines_;
    std::vector<UsageRecord> records_;
    uint16_t port_ = 0;
    bool access_log_ = false;   // before start()

private:
    http::asio::io_context io_{1};
    http::asio::executor_work_guard<http::asio::io_context::executor_type> guard_{io_.get_executor()};
    http::Router router_;
    std::unique_ptr<Gateway> gateway_;
    std::optional<http::Server> server_;
    std::thread thread_;
};

}  // namespace gantry::gateway
