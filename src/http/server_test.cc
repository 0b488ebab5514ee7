#include <sys/stat.h>

#include <atomic>
#include <filesystem>

#include "http/http_test_support.h"

namespace gantry::http {
namespace {

Task<void> hello(Exchange& exchange) {
    co_await exchange.respond(text_response(200, "hello " + exchange.request().path));
}

Task<void> echo(Exchange& exchange) {
    Response response = text_response(200, exchange.request().body);
    co_await exchange.respond(std::move(response));
}

TEST(Server, AnswersAndKeepsTheConnection) {
    TestServer server;
    server.route("GET", "/hello", hello);
    RawClient client(server.start());
    for (int i = 0; i < 3; ++i) {
        ASSERT_TRUE(client.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"));
        const std::string answer = client.read_answer();
        EXPECT_EQ(status_of(answer), 200) << answer;
        EXPECT_NE(answer.find("\r\nx-request-id: "), std::string::npos) << answer;
        EXPECT_TRUE(answer.ends_with("hello /hello")) << answer;
    }
    EXPECT_EQ(server.connections(), 1u);
}

TEST(Server, WhatMustComeBeforeAnAnswerRunsBeforeItLeaves) {
    TestServer server;
    std::atomic<int> ran{0};
    server.route("GET", "/", [&](Exchange& exchange) -> Task<void> {
        asio::io_context& io = server.io();
        if (!before_sends(io, [&] { ++ran; })) co_return;
        const int before = ran;
        co_await exchange.respond(text_response(200, std::to_string(before) + std::to_string(ran)));
    });
    RawClient client(server.start());
    ASSERT_TRUE(client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
    EXPECT_TRUE(client.read_answer().ends_with("00"));
    EXPECT_EQ(ran, 1) << "the answer is here, so that it was before";
}

TEST(Server, PipelinedRequestsAreAnsweredInOrder) {
    TestServer server;
    server.route("GET", "/{n}", hello);
    RawClient client(server.start());
    std::string requests;
    for (int i = 0; i < 50; ++i) requests += "GET /n" + std::to_string(i) + " HTTP/1.1\r\nHost: x\r\n\r\n";
    ASSERT_TRUE(client.send(requests));
    for (int i = 0; i < 50; ++i) {
        EXPECT_TRUE(client.read_answer().ends_with("hello /n" + std::to_string(i)));
    }
}

TEST(Server, BodiesWithLengthAndChunks) {
    TestServer server;
    server.route("POST", "/echo", echo);
    RawClient client(server.start());
    client.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab");
    client.send("cde");
    EXPECT_TRUE(client.read_answer().ends_with("abcde"));
    client.send("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    client.send("2\r\nde\r\n0\r\nTrailer: x\r\n\r\n");
    EXPECT_TRUE(client.read_answer().ends_with("abcde"));
}

TEST(Server, UnknownPathsAndMethodsInTheOwnersShape) {
    TestServer server;
    server.route("GET", "/hello", hello);
    RawClient client(server.start());
    client.send("GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n");
    std::string answer = client.read_answer();
    EXPECT_EQ(status_of(answer), 404);
    EXPECT_TRUE(answer.ends_with("\"path\":\"/nothing\"}")) << answer;
    client.send("DELETE /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    answer = client.read_answer();
    EXPECT_EQ(status_of(answer), 405);
    EXPECT_NE(answer.find("allow: GET, HEAD\r\n"), std::string::npos) << answer;
}

TEST(Server, StreamsInChunksAndKeepsTheConnection) {
    TestServer server;
    server.route("GET", "/stream", [](Exchange& exchange) -> Task<void> {
        Headers headers;
        headers.set("content-type", "text/event-stream");
        co_await exchange.start_stream(200, headers);
        for (int i = 0; i < 3; ++i) {
            const std::string event = sse_event("piece " + std::to_string(i));
            co_await exchange.write(event);
        }
        co_await exchange.finish();
    });
    RawClient client(server.start());
    for (int i = 0; i < 2; ++i) {
        client.send("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
        const std::string head = client.read_until("\r\n\r\n");
        EXPECT_NE(head.find("transfer-encoding: chunked"), std::string::npos) << head;
        EXPECT_NE(head.find("cache-control: no-cache"), std::string::npos) << head;
        const std::string body = client.read_until("0\r\n\r\n");
        EXPECT_EQ(body, "f\r\ndata: piece 0\n\n\r\nf\r\ndata: piece 1\n\n\r\nf\r\ndata: piece 2\n\n\r\n0\r\n\r\n");
    }
}

// Pieces that are kept until a turn's end, and those that wait since a slow reader leaves no room, come in order and whole.
TEST(Server, PiecesThatAreKeptComeInOrder) {
    constexpr int kPieces = 2'000;
    const auto piece = [](int i) { return std::string(8'000, static_cast<char>('a' + i % 26)); };
    TestServer server;
    server.route("GET", "/stream", [piece](Exchange& exchange) -> Task<void> {
        co_await exchange.start_stream(200, Headers{});
        for (int i = 0; i < kPieces; ++i) {
            const std::string bytes = piece(i);
            if (exchange.try_write(bytes)) {
                EXPECT_FALSE(exchange.try_write(bytes)) << "one at most";
                continue;
            }
            const bool written = co_await exchange.write(bytes);
            EXPECT_TRUE(written);
        }
        co_await exchange.finish();
    });
    RawClient client(server.start(), 4'096);
    client.send("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_EQ(status_of(client.read_until("\r\n\r\n")), 200);
    for (int i = 0; i < kPieces; ++i) {
        ASSERT_EQ(client.read_until("\r\n"), "1f40\r\n") << i;
        ASSERT_EQ(client.read_until("\r\n"), piece(i) + "\r\n") << i;
    }
    EXPECT_EQ(client.read_until("0\r\n\r\n"), "0\r\n\r\n");
}

TEST(Server, OldClientsGetAStreamUpToTheClose) {
    TestServer server;
    server.route("GET", "/stream", [](Exchange& exchange) -> Task<void> {
        co_await exchange.start_stream(200, Headers{});
        co_await exchange.write("abc");
        co_await exchange.write("def");
        co_await exchange.finish();
    });
    server.route("GET", "/hello", hello);
    const uint16_t port = server.start();
    RawClient stream(port);
    stream.send("GET /stream HTTP/1.0\r\n\r\n");
    const std::string answer = stream.read_to_end();
    EXPECT_TRUE(stream.closed);
    EXPECT_TRUE(answer.ends_with("\r\n\r\nabcdef")) << answer;
    EXPECT_EQ(answer.find("chunked"), std::string::npos);

    RawClient kept(port);
    for (int i = 0; i < 2; ++i) {
        kept.send("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        EXPECT_NE(kept.read_answer().find("connection: keep-alive"), std::string::npos);
    }
    RawClient once(port);
    once.send("GET /hello HTTP/1.0\r\n\r\n");
    EXPECT_TRUE(once.read_to_end().ends_with("hello /hello"));
    EXPECT_TRUE(once.closed);
}

TEST(Server, HeadHasNoBody) {
    TestServer server;
    server.route("GET", "/hello", hello);
    RawClient client(server.start());
    client.send("HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\nHEAD /none HTTP/1.1\r\nHost: x\r\n\r\n"
                "HEAD /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    const std::string all = client.read_to_end();
    EXPECT_EQ(all.find("hello /hello"), std::string::npos) << all;
    EXPECT_EQ(all.find("error"), std::string::npos) << all;
    EXPECT_NE(all.find("content-length: 12\r\n"), std::string::npos) << all;
}

// The client's leaving reaches a handler that waits for something else.
struct Left {
    std::atomic<bool> waiting = false;
    std::atomic<bool> told = false;
    std::atomic<bool> write_refused = false;
    std::atomic<int64_t> told_at = 0;
};

void add_waiting_route(TestServer& server, Left& left, bool streaming) {
    server.route("POST", "/wait", [&server, &left, streaming](Exchange& exchange) -> Task<void> {
        if (streaming) co_await exchange.start_stream(200, Headers{});
        Signal signal(server.io());
        exchange.on_client_gone([&] {
            left.told_at = std::chrono::steady_clock::now().time_since_epoch().count();
            left.told = true;
            signal.notify();
        });
        left.waiting = true;
        co_await signal.wait(20s);
        if (!exchange.started()) co_await exchange.start_stream(200, Headers{});
        const bool taken = co_await exchange.write("too late");
        left.write_refused = !taken && exchange.client_gone();
    });
}

class ClientLeaves : public testing::TestWithParam<std::tuple<bool, std::string>> {};

TEST_P(ClientLeaves, AndTheHandlerHearsOfIt) {
    const auto& [streaming, how] = GetParam();
    TestServer server;
    Left left;
    add_waiting_route(server, left, streaming);
    RawClient client(server.start());
    client.send("POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi");
    ASSERT_TRUE(eventually([&] { return left.waiting.load(); }));
    if (how == "pipelined") {
        // The next request sent ahead is no sign of leaving; the end of the stream behind it is.
        client.send("GET /next HTTP/1.1\r\nHost: x\r\n\r\n");
        EXPECT_EQ(server.exchanges(), 1u);
        EXPECT_FALSE(left.told);
    }
    if (how == "flood") {
        // More than the server takes ahead: it must not read on, and still see the end.
        std::string many;
        while (many.size() < 200'000) many += "GET /next HTTP/1.1\r\nHost: x\r\n\r\n";
        client.send(many);
        EXPECT_EQ(server.exchanges(), 1u);
        EXPECT_FALSE(left.told);
    }
    const int64_t at = std::chrono::steady_clock::now().time_since_epoch().count();
    if (how == "reset") {
        client.reset();
    } else if (how == "half") {
        client.shutdown_send();
    } else {
        client.close();
    }
    ASSERT_TRUE(eventually([&] { return left.told.load(); }));
    EXPECT_LT(left.told_at - at, 100'000'000) << "noticed too late";
    ASSERT_TRUE(eventually([&] { return server.connections() == 0; }));
    EXPECT_TRUE(left.write_refused);
}

INSTANTIATE_TEST_SUITE_P(Server, ClientLeaves,
                         testing::Combine(testing::Bool(), testing::Values("close", "reset", "half", "pipelined", "flood")));

TEST(Server, AClientThatClosedItsSideStillGetsAWholeAnswer) {
    TestServer server;
    server.route("POST", "/echo", echo);
    RawClient client(server.start());
    client.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi");
    client.shutdown_send();
    EXPECT_TRUE(client.read_to_end().ends_with("hi"));
}

TEST(Server, HandlersThatFailOrForget) {
    TestServer server;
    server.route("GET", "/throw", [](Exchange&) -> Task<void> {
        throw std::runtime_error("secret detail");
        co_return;
    });
    server.route("GET", "/forget", [](Exchange&) -> Task<void> { co_return; });
    server.route("GET", "/half", [](Exchange& exchange) -> Task<void> {
        co_await exchange.start_stream(200, Headers{});
        co_await exchange.write("some");
        throw std::runtime_error("secret detail");
    });
    const uint16_t port = server.start();
    for (const char* path : {"/throw", "/forget"}) {
        RawClient client(port);
        client.send("GET " + std::string(path) + " HTTP/1.1\r\nHost: x\r\n\r\n");
        const std::string answer = client.read_to_end();
        EXPECT_EQ(status_of(answer), 500) << answer;
        EXPECT_EQ(answer.find("secret"), std::string::npos);
    }
    RawClient client(port);
    client.send("GET /half HTTP/1.1\r\nHost: x\r\n\r\n");
    const std::string answer = client.read_to_end();
    EXPECT_NE(answer.find("some"), std::string::npos);
    EXPECT_FALSE(answer.ends_with("0\r\n\r\n")) << "a broken stream must not look complete";
}

TEST(Server, UnixSocketIsPrivateAndReplacesAStaleOne) {
    const std::string path = std::filesystem::temp_directory_path() / ("gantry_http_" + std::to_string(::getpid()) + ".sock");
    {
        // Left behind by a process that died.
        const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof(address.sun_path) - 1);
        ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
        ::close(fd);
    }
    TestServer server;
    server.route("GET", "/peer", [](Exchange& exchange) -> Task<void> {
        Response response = text_response(200, exchange.request().peer + " " + exchange.request().listener);
        co_await exchange.respond(std::move(response));
    });
    server.start_unix(path);
    struct stat made{};
    ASSERT_EQ(::stat(path.c_str(), &made), 0);
    EXPECT_EQ(made.st_mode & 0777u, 0600u);
    const auto answer = fetch("unix:" + path, Client::Call{.target = "/peer"});
    ASSERT_TRUE(answer.ok()) << answer.error().message;
    EXPECT_EQ(answer->body, "unix admin");

    asio::io_context other_io(1);
    Router none;
    Server other(other_io, none, {});
    const auto taken = other.listen_unix(path, "admin");
    ASSERT_FALSE(taken.ok());
    EXPECT_EQ(taken.error().code, ErrorCode::kConflict);
    const auto too_long = other.listen_unix("/tmp/" + std::string(103, 'x'), "admin");
    ASSERT_FALSE(too_long.ok());
    EXPECT_EQ(too_long.error().code, ErrorCode::kInvalidArgument);
    server.stop(1s);
    EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(Server, AFullNetworkLeavesRoomForUnixSockets) {
    const std::string path = std::filesystem::temp_directory_path() / ("gantry_room_" + std::to_string(::getpid()) + ".sock");
    ServerLimits limits;
    limits.connections = 8;
    TestServer server(limits);
    server.route("GET", "/hello", hello);
    ASSERT_TRUE(server.server().listen_unix(path, "admin").ok());
    const uint16_t port = server.start();
    std::vector<std::unique_ptr<RawClient>> network;
    for (int k = 0; k < 20; ++k) {
        network.push_back(std::make_unique<RawClient>(port));
        network.back()->send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    EXPECT_EQ(status_of(network[5]->read_answer()), 200);
    EXPECT_EQ(server.connections(), 6u);
    const auto answer = fetch("unix:" + path, Client::Call{.target = "/hello"}, {.header_timeout = 5s});
    ASSERT_TRUE(answer.ok()) << answer.error().message;
    EXPECT_EQ(answer->status, 200);
    // Whoever waits gets the place of who leaves, as before.
    network.erase(network.begin());
    EXPECT_EQ(status_of(network[5]->read_answer()), 200);
    EXPECT_EQ(network[6]->read_until("\r\n\r\n", 0ms), "");
}

TEST(Server, PortInUseIsAConflict) {
    TestServer server;
    const uint16_t port = server.start();
    asio::io_context io(1);
    Router none;
    Server other(io, none, {});
    const auto taken = other.listen_tcp("127.0.0.1", port, "public");
    ASSERT_FALSE(taken.ok());
    EXPECT_EQ(taken.error().code, ErrorCode::kConflict);
}

TEST(Server, StopLetsExchangesFinishAndClosesTheIdle) {
    TestServer server;
    Signal* go = nullptr;
    Signal signal(server.io());
    go = &signal;
    std::atomic<bool> inside = false;
    server.route("GET", "/slow", [go, &inside](Exchange& exchange) -> Task<void> {
        inside = true;
        co_await go->wait(20s);
        co_await exchange.respond(text_response(200, "done"));
    });
    const uint16_t port = server.start();
    RawClient idle(port);
    RawClient busy(port);
    busy.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
    ASSERT_TRUE(eventually([&] { return inside.load() && server.connections() == 2; }));
    std::thread stopper([&] { server.stop(20s); });
    idle.read_to_end();
    EXPECT_TRUE(idle.closed);
    asio::post(server.io(), [&] { signal.notify(); });
    const std::string answer = busy.read_to_end();
    EXPECT_TRUE(answer.ends_with("done")) << answer;
    stopper.join();
}

TEST(Server, StopCutsWhatIsNotDoneByTheDeadline) {
    TestServer server;
    Left left;
    add_waiting_route(server, left, true);
    RawClient client(server.start());
    client.send("POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    ASSERT_TRUE(eventually([&] { return left.waiting.load(); }));
    server.stop(10ms);
    EXPECT_TRUE(left.told);
    EXPECT_TRUE(left.write_refused);
    client.read_to_end();
    EXPECT_TRUE(client.closed);
}

}  // namespace
}  // namespace gantry::http
