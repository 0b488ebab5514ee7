// The client against an http::Server that answers as /api/v1 does.

#include "cli/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "cli/chat.h"
#include "cli/output.h"
#include "cli/waiting.h"
#include "http/http_test_support.h"
#include "http/tls_test_support.h"

namespace gantry::cli {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

class FakeServer {
public:
    using Answer = std::function<http::Task<void>(http::Exchange&)>;

    explicit FakeServer(const std::string& socket) : endpoint_("unix:" + socket), socket_(socket) {}
    void on(const std::string& method, const std::string& pattern, Answer answer) {
        http::Route route;
        route.method = method;
        route.pattern = pattern;
        route.access = "public";
        route.handler = std::move(answer);
        router_.add(std::move(route));
    }
    void start() {
        http::ServerOptions options;
        options.error_response = [](int status, const std::string&, const std::string&) {
            return http::json_response(status, R"({"error":{"message":"no such route","type":"x","param":null,"code":null}})");
        };
        server_ = std::make_unique<http::Server>(io_, router_, options);
        ASSERT_TRUE(server_->listen_unix(socket_, "admin"));
        thread_ = std::thread([this] { io_.run(); });
    }
    ~FakeServer() {
        if (thread_.joinable()) {
            http::asio::co_spawn(io_, server_->stop(Deadline::after(std::chrono::seconds(1))), http::asio::detached);
            thread_.join();
        }
    }
    ApiClient client() const { return ApiClient(ServerAddress{endpoint_, "", "the test's server"}); }

private:
    const std::string endpoint_;
    const std::string socket_;
    http::asio::io_context io_{1};
    http::Router router_;
    std::unique_ptr<http::Server> server_;
    std::thread thread_;
};

// Coroutine lambdas must not capture: what they need is a parameter, bound here.
http::Task<void> respond(http::Exchange& exchange, int status, std::string body) {
    http::Response response = http::json_response(status, std::move(body));
    co_await exchange.respond(std::move(response));
}
FakeServer::Answer fixed(int status, std::string body) {
    return [status, body](http::Exchange& exchange) { return respond(exchange, status, body); };
}
http::Task<void> respond_stream(http::Exchange& exchange, std::vector<std::string> pieces, bool cut) {
    http::Headers headers;
    headers.set("content-type", "text/event-stream");
    co_await exchange.start_stream(200, headers);
    for (const std::string& piece : pieces) {
        co_await exchange.write(piece);
    }
    if (cut) {
        exchange.abort();
    } else {
        co_await exchange.finish();
    }
}
FakeServer::Answer streamed(std::vector<std::string> pieces, bool cut = false) {
    return [pieces, cut](http::Exchange& exchange) { return respond_stream(exchange, pieces, cut); };
}

class Client : public testing::Test {
protected:
    Client() : folder_(testing::TempDir() + "gantry-client-" + std::to_string(getpid())), server_(folder_ + "/admin.sock") {
        fs::create_directories(folder_);
        for (const char* name : {"GANTRY_SERVER", "GANTRY_TOKEN", "GANTRY_DATA_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME"}) {
            unsetenv(name);
        }
        setenv("HOME", folder_.c_str(), 1);
    }
    ~Client() override {
        for (const char* name : {"GANTRY_SERVER", "GANTRY_TOKEN", "GANTRY_DATA_DIR"}) {
            unsetenv(name);
        }
        fs::remove_all(folder_);
    }
    std::string folder_;
    FakeServer server_;
};

Context with_data_dir(const std::string& folder) {
    Context context;
    context.data_dir = folder;
    return context;
}

TEST_F(Client, FindsTheServerInTheDocumentedOrder) {
    EXPECT_FALSE(find_server({}));
    std::ofstream(folder_ + "/admin.sock").flush();
    setenv("GANTRY_DATA_DIR", folder_.c_str(), 1);
    Result<ServerAddress> found = find_server({});
    ASSERT_TRUE(found);
    EXPECT_EQ(found->endpoint, "unix:" + folder_ + "/admin.sock");
    EXPECT_EQ(found->token, "");

    fs::create_directories(folder_ + "/.config/gantry");
    std::ofstream(folder_ + "/.config/gantry/config") << "# mine\nserver = http://file.example:91\ntoken = gtk_file\n";
    found = find_server({});
    ASSERT_TRUE(found);
    EXPECT_EQ(found->endpoint, "tcp:file.example:91");
    EXPECT_EQ(found->token, "gtk_file");

    setenv("GANTRY_SERVER", "http://env.example:92", 1);
    setenv("GANTRY_TOKEN", "gtk_env", 1);
    found = find_server({});
    ASSERT_TRUE(found);
    EXPECT_EQ(found->endpoint, "tcp:env.example:92");
    EXPECT_EQ(found->token, "gtk_env");

    found = find_server(with_data_dir(folder_));
    ASSERT_TRUE(found);
    EXPECT_EQ(found->endpoint, "unix:" + folder_ + "/admin.sock") << "a flag beats all";
    setenv("GANTRY_SERVER", "nonsense", 1);
    EXPECT_FALSE(find_server({}));
    Context flagged = with_data_dir(folder_);
    flagged.server = "http://flag.example";
    found = find_server(flagged);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->endpoint, "tcp:flag.example:80");
}

TEST_F(Client, HttpsHasItsPortAndAuthority) {
    Context context;
    context.server = "https://gantry.example";
    context.ca_file = "/etc/ca.pem";
    Result<ServerAddress> found = find_server(context);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->endpoint, "tls:gantry.example:443");
    EXPECT_EQ(ApiClient(*found).client_options().ca_file, "/etc/ca.pem");
    context.server = "https://[::1]:9443";
    EXPECT_EQ(find_server(context)->endpoint, "tls:[::1]:9443");
    context.server = "https://10.0.0.1.evil.example";   // a name, and not the host 10.0.0.1
    EXPECT_EQ(find_server(context)->endpoint, "tls:10.0.0.1.evil.example:443");
    context.server = "ftp://gantry.example";
    EXPECT_FALSE(find_server(context));
}

TEST_F(Client, ATokenOfTheFileGoesToTheFilesServerOnly) {
    fs::create_directories(folder_ + "/.config/gantry");
    std::ofstream(folder_ + "/.config/gantry/config") << "server = https://file.example\ntoken = gtk_file\nca = /file/ca.pem\n";
    Context context;
    EXPECT_EQ(find_server(context)->token, "gtk_file");
    EXPECT_EQ(find_server(context)->ca_file, "/file/ca.pem");
    context.server = "https://other.example";
    EXPECT_EQ(find_server(context)->token, "");
    EXPECT_EQ(find_server(context)->ca_file, "");
    setenv("GANTRY_TOKEN", "gtk_env", 1);
    EXPECT_EQ(find_server(context)->token, "gtk_env");
}

TEST_F(Client, AServerWithAnotherCertificateIsNoMissingServer) {
    const http::TestAuthority authority;
    const http::TestAuthority stranger;
    http::TestServer server;
    auto identity = http::TlsIdentity::load(stranger.issue("server", "IP:127.0.0.1"));
    ASSERT_TRUE(identity.ok());
    const auto port = server.server().listen_tcp("127.0.0.1", 0, "public", *identity);
    ASSERT_TRUE(port.ok());
    server.run();
    ServerAddress address{"tls:127.0.0.1:" + std::to_string(*port), "", "https://it", authority.ca_file()};
    const auto refused = ApiClient(address).get("/");
    ASSERT_FALSE(refused.ok());
    EXPECT_THAT(refused.error().message, HasSubstr("https://it answers, but"));
    EXPECT_THAT(refused.error().message, HasSubstr("--ca FILE"));
    address.ca_file = stranger.ca_file();
    EXPECT_EQ(ApiClient(address).get("/").error().code, ErrorCode::kNotFound) << "it is an empty server";
}

TEST_F(Client, ReadsAllPagesOfAList) {
    server_.on("GET", "/api/v1/models", [](http::Exchange& exchange) {
        const std::string cursor(exchange.request().query_value("cursor"));
        const char* body = cursor.empty()  ? R"({"items":[{"name":"a"},{"name":"b"}],"next_cursor":"x y"})"
                           : cursor == "x y" ? R"({"items":[{"name":"c"}],"next_cursor":null})"
                                             : R"({"items":[{"name":"wrong"}],"next_cursor":null})";
        return respond(exchange, 200, body);
    });
    server_.start();
    const Result<json::array> models = server_.client().list("/api/v1/models");
    ASSERT_TRUE(models) << models.error().message;
    ASSERT_EQ(models->size(), 3u);
    EXPECT_EQ(text_at(models->at(2).as_object(), "name"), "c");
}

TEST_F(Client, AnErrorAnswerIsAnErrorWithItsMessage) {
    server_.on("POST", "/api/v1/deployments",
               fixed(409, R"({"error":{"message":"the name is taken","type":"x","param":"name","code":"conflict"}})"));
    server_.on("GET", "/broken", fixed(500, "<html>"));
    server_.start();
    const Result<json::value> made = server_.client().call("POST", "/api/v1/deployments", json::object());
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, ErrorCode::kConflict);
    EXPECT_EQ(made.error().message, "the name is taken");
    EXPECT_EQ(made.error().param, "name");
    EXPECT_THAT(server_.client().get("/broken").error().message, HasSubstr("500"));
}

TEST_F(Client, NobodyThereSaysWhatToDo) {
    const Result<json::object> answer = server_.client().get("/x");
    ASSERT_FALSE(answer);
    EXPECT_THAT(answer.error().message, HasSubstr("gantry serve"));
}

TEST_F(Client, AMissingDeploymentNamesTheNearestOne) {
    server_.on("GET", "/api/v1/deployments", fixed(200, R"({"items":[{"name":"smollm2"},{"name":"qwen"}],"next_cursor":null})"));
    server_.start();
    const Result<json::object> found = server_.client().deployment("smollm3");
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code, ErrorCode::kNotFound);
    EXPECT_THAT(found.error().message, HasSubstr("smollm3"));
    EXPECT_THAT(found.error().message, HasSubstr("\"smollm2\""));
}

std::string watched(const char* event, const std::string& state, int ready, const std::string& reason = {}) {
    return http::sse_event(R"({"kind":"deployments","object":{"id":"dep_1","name":"m","replicas":2,"status":{"state":")" + state +
                               R"(","ready_replicas":)" + std::to_string(ready) + R"(,"reason":")" + reason + R"(","progress":0.5}}})",
                           event);
}
const std::string kOther = http::sse_event(
    R"({"kind":"deployments","object":{"id":"dep_2","name":"other","replicas":1,"status":{"state":"error","ready_replicas":0,"reason":"x"}}})",
    "added");

TEST_F(Client, WaitingEndsWhenAllReplicasRun) {
    server_.on("GET", "/api/v1/watch",
               streamed({kOther, watched("added", "pending", 0), watched("modified", "starting", 0),
                         watched("modified", "degraded", 1), watched("modified", "running", 2)}));
    server_.start();
    const Status waited = wait_until_running(server_.client(), "m", false, std::chrono::seconds(20));
    EXPECT_TRUE(waited) << waited.error().message;
}

TEST_F(Client, WaitingEndsWithTheReasonOfAnError) {
    server_.on("GET", "/api/v1/watch",
               streamed({watched("added", "starting", 0), watched("modified", "error", 0, "invalid model file: no magic")}));
    server_.start();
    const Status waited = wait_until_running(server_.client(), "m", false, std::chrono::seconds(20));
    ASSERT_FALSE(waited);
    EXPECT_THAT(waited.error().message, HasSubstr("invalid model file: no magic"));
}

TEST_F(Client, WaitingEndsWhenItIsDeletedMeanwhile) {
    server_.on("GET", "/api/v1/watch", streamed({watched("added", "starting", 0), watched("deleted", "starting", 0)}));
    server_.start();
    EXPECT_FALSE(wait_until_running(server_.client(), "m", false, std::chrono::seconds(20)));
}

std::string chunk(const std::string& delta, const std::string& finish = "null") {
    return http::sse_event(R"({"choices":[{"index":0,"delta":)" + delta + R"(,"finish_reason":)" + finish + "}]}");
}

TEST_F(Client, ChatStreamsTextAndReasoning) {
    server_.on("POST", "/v1/chat/completions",
               streamed({chunk(R"({"role":"assistant","content":""})"), chunk(R"({"reasoning_content":"hm"})"),
                         chunk(R"({"content":"Par"})"), chunk(R"({"content":"is"})"), chunk("{}", R"("stop")"),
                         http::sse_event(R"({"choices":[],"usage":{"completion_tokens":3}})"), http::sse_event("[DONE]")}));
    server_.start();
    std::string shown;
    const Result<ChatAnswer> answer = chat(server_.client(), {"m", -1, 0}, {}, [&](const std::string& piece, bool reasoning) {
        shown += reasoning ? "<" + piece + ">" : piece;
    });
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(shown, "<hm>Paris");
    EXPECT_EQ(answer->text, "Paris");
    EXPECT_EQ(answer->finish_reason, "stop");
    EXPECT_EQ(answer->output_tokens, 3u);
}

TEST_F(Client, ChatTellsABrokenAnswerAndAnErrorInTheStream) {
    server_.on("POST", "/v1/chat/completions", streamed({chunk(R"({"content":"Par"})")}, true));
    server_.start();
    EXPECT_FALSE(chat(server_.client(), {"m", -1, 0}, {}, [](const std::string&, bool) {}));
}

TEST_F(Client, ChatTellsAnErrorInTheStream) {
    server_.on("POST", "/v1/chat/completions",
               streamed({chunk(R"({"content":"Par"})"), http::sse_event(R"({"error":{"message":"the engine died","type":"x"}})")}));
    server_.start();
    const Result<ChatAnswer> answer = chat(server_.client(), {"m", -1, 0}, {}, [](const std::string&, bool) {});
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().message, "the engine died");
}

http::Task<void> never_answer(http::Exchange& exchange) {
    http::Headers headers;
    headers.set("content-type", "text/event-stream");
    co_await exchange.start_stream(200, headers);
    // Ctrl-C at a moment when the client surely waits for its first token.
    kill(getpid(), SIGINT);
    while (co_await exchange.write(http::kSsePing)) {
        co_await http::sleep_for(std::chrono::milliseconds(5));
    }
}

TEST_F(Client, CtrlCCancelsAnAnswer) {
    server_.on("POST", "/v1/chat/completions", never_answer);
    server_.start();
    const Result<ChatAnswer> answer = chat(server_.client(), {"m", -1, 0}, {}, [](const std::string&, bool) {});
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_TRUE(answer->cancelled);
}

}  // namespace
}  // namespace gantry::cli
