#include "http/http_test_support.h"

namespace gantry::http {
namespace {

using Sent = Result<std::unique_ptr<ClientResponse>>;

// Named: g++ 12 destroys an aggregate that is made in an argument of a co_await twice.
const Client::Call kGet{};

// A server that says what it is told: accepts one connection after another and hands each to `serve`.
class ScriptedServer {
public:
    explicit ScriptedServer(std::function<void(int fd, int number)> serve) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
        socklen_t length = sizeof(address);
        ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &length);
        port_ = ntohs(address.sin_port);
        EXPECT_EQ(::listen(fd_, 16), 0);
        thread_ = std::thread([this, serve = std::move(serve)] {
            for (int number = 0;; ++number) {
                const int connection = ::accept(fd_, nullptr, nullptr);
                if (connection < 0) return;
                ++accepted;
                serve(connection, number);
                ::close(connection);
            }
        });
    }
    ~ScriptedServer() {
        ::shutdown(fd_, SHUT_RDWR);
        thread_.join();
        ::close(fd_);
    }
    std::string endpoint() const { return "tcp:127.0.0.1:" + std::to_string(port_); }
    static std::string read_request(int fd) {
        std::string text;
        char bytes[4096];
        while (text.find("\r\n\r\n") == std::string::npos) {
            const ssize_t got = ::recv(fd, bytes, sizeof(bytes), 0);
            if (got <= 0) break;
            text.append(bytes, static_cast<size_t>(got));
        }
        return text;
    }
    static void say(int fd, std::string_view text) { ::send(fd, text.data(), text.size(), MSG_NOSIGNAL); }
    static void wait_for_close(int fd) {
        char byte;
        while (::recv(fd, &byte, 1, 0) > 0) {
        }
    }
    std::atomic<int> accepted = 0;

private:
    int fd_;
    uint16_t port_ = 0;
    std::thread thread_;
};

constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

TEST(Fetch, GetsAndPosts) {
    TestServer server;
    server.route("POST", "/echo", [](Exchange& exchange) -> Task<void> {
        const std::string text = std::string(exchange.request().headers.get("x-mark")) + exchange.request().body;
        co_await exchange.respond(text_response(201, text));
    });
    server.start();
    const auto answer =
        fetch(server.endpoint(), {.method = "POST", .target = "/echo", .headers = {{"x-mark", "m:"}}, .body = "text"});
    ASSERT_TRUE(answer.ok()) << answer.error().message;
    EXPECT_EQ(answer->status, 201);
    EXPECT_EQ(answer->body, "m:text");
    EXPECT_EQ(answer->headers.get("x-request-id").size(), 24u);
    const auto named = fetch("tcp:localhost:" + std::to_string(server.port()), {.target = "/none"});
    ASSERT_TRUE(named.ok()) << named.error().message;
    EXPECT_EQ(named->status, 404);
}

TEST(Fetch, SaysWhyItFails) {
    TestServer server;
    server.start();
    const std::string endpoint = server.endpoint();
    server.stop(1s);
    EXPECT_EQ(fetch("tcp:nonsense", {}).error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(fetch("/etc/passwd", {}).error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(fetch(endpoint, {.target = "/a b"}).error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(fetch(endpoint, {.method = "GET / HTTP/1.1\r\nA:"}).error().code, ErrorCode::kInvalidArgument);
    const auto nobody = fetch("unix:/nowhere/at/all.sock", {});
    ASSERT_FALSE(nobody.ok());
    EXPECT_EQ(nobody.error().code, ErrorCode::kUnavailable);
}

TEST(Fetch, StreamsPieceByPiece) {
    TestServer server;
    Signal go(server.io());
    server.route("GET", "/stream", [&go](Exchange& exchange) -> Task<void> {
        exchange.on_client_gone([&go] { go.notify(); });
        co_await exchange.start_stream(200, Headers{});
        for (const std::string_view piece : {"one", "two", "three"}) {
            const bool taken = co_await exchange.write(piece);
            if (!taken) co_return;
            co_await go.wait(10s);
        }
        co_await exchange.finish();
    });
    server.start();
    std::vector<std::string> pieces;
    const auto answer = fetch_stream(server.endpoint(), {.target = "/stream"}, [&](std::string_view piece) {
        pieces.emplace_back(piece);
        asio::post(server.io(), [&go] { go.notify(); });  // the next comes only when this one was seen
        return true;
    });
    ASSERT_TRUE(answer.ok()) << answer.error().message;
    EXPECT_EQ(pieces, (std::vector<std::string>{"one", "two", "three"}));
    const auto refused = fetch_stream(server.endpoint(), {.target = "/none"}, [](std::string_view) { return true; });
    ASSERT_TRUE(refused.ok());
    EXPECT_EQ(refused->status, 404);
    EXPECT_NE(refused->body.find("nothing at this path"), std::string::npos);
    int seen = 0;
    const auto stopped = fetch_stream(server.endpoint(), {.target = "/stream"}, [&](std::string_view) {
        ++seen;
        return false;
    });
    EXPECT_TRUE(stopped.ok());
    EXPECT_EQ(seen, 1);
    EXPECT_TRUE(eventually([&] { return server.exchanges() == 0; })) << "to stop closes the connection";
    server.stop(1s);  // before the signal goes, which belongs to its thread
}

TEST(Client, ReusesAConnection) {
    TestServer server;
    server.route("GET", "/", [](Exchange& exchange) -> Task<void> {
        co_await exchange.respond(text_response(200, "hello"));
    });
    server.start();
    const auto run = [&](asio::io_context& io) -> Task<int> {
        Client client(io);
        for (int i = 0; i < 5; ++i) {
            auto sent = co_await client.send(server.endpoint(), kGet);
            if (!sent) co_return -1;
            auto body = co_await (*sent)->read_all();
            if (!body || *body != "hello") co_return -2;
        }
        const size_t while_kept = server.connections();
        client.close_idle();
        co_return static_cast<int>(while_kept);
    };
    EXPECT_EQ(run_task<int>(run), 1);
    EXPECT_TRUE(eventually([&] { return server.connections() == 0; }));
}

TEST(Client, TriesAgainOnceWhereAKeptConnectionWasClosed) {
    // The first connection answers once, takes a second request and closes without a word.
    ScriptedServer server([](int fd, int number) {
        ScriptedServer::read_request(fd);
        ScriptedServer::say(fd, kOk);
        if (number == 0) ScriptedServer::read_request(fd);
    });
    const auto run = [&](asio::io_context& io) -> Task<std::string> {
        Client client(io);
        std::string all;
        for (int i = 0; i < 2; ++i) {
            Client::Call call;
            call.method = "POST";
            call.body = "b";
            auto sent = co_await client.send(server.endpoint(), call);
            if (!sent) co_return sent.error().message;
            auto body = co_await (*sent)->read_all();
            all += body ? *body : body.error().message;
        }
        co_return all;
    };
    EXPECT_EQ(run_task<std::string>(run), "okok");
    EXPECT_EQ(server.accepted, 2);
}

TEST(Client, DoesNotTryAgainOnAFreshConnectionOrAfterAByte) {
    ScriptedServer server([](int fd, int number) {
        ScriptedServer::read_request(fd);
        if (number == 0) return;                             // fresh, closed without a word
        ScriptedServer::say(fd, kOk);
        ScriptedServer::read_request(fd);
        ScriptedServer::say(fd, "HTTP/1.1 2");               // kept, and half a line of an answer
    });
    const auto run = [&](asio::io_context& io) -> Task<int> {
        Client client(io);
        auto closed = co_await client.send(server.endpoint(), kGet);
        if (closed || closed.error().code != ErrorCode::kUnavailable) co_return -1;
        auto good = co_await client.send(server.endpoint(), kGet);
        if (!good) co_return -2;
        auto body = co_await (*good)->read_all();
        if (!body) co_return -3;
        auto half = co_await client.send(server.endpoint(), kGet);
        if (half || half.error().code != ErrorCode::kUnavailable) co_return -4;
        co_return server.accepted;
    };
    EXPECT_EQ(run_task<int>(run), 2);
}

TEST(Client, BrokenAndHostileAnswers) {
    const std::vector<std::string> answers = {
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nA: " + std::string(100'000, 'a'),
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    };
    ScriptedServer server([&](int fd, int number) {
        ScriptedServer::read_request(fd);
        ScriptedServer::say(fd, answers[static_cast<size_t>(number)]);
    });
    for (const std::string& answer : answers) {
        const auto got = fetch(server.endpoint(), {});
        ASSERT_FALSE(got.ok()) << answer;
        EXPECT_EQ(got.error().code, ErrorCode::kUnavailable) << answer;
        EXPECT_EQ(got.error().message.find("127.0.0.1"), std::string::npos);
    }
}

TEST(Client, UnusualAnswers) {
    const std::vector<std::string> answers = {
        "HTTP/1.1 200 OK\r\n\r\nok",  // up to the close
        "HTTP/1.0 200 OK\r\n\r\nok",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + std::string(kOk),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1;x=y\r\nk\r\n0\r\nTrailer: t\r\n\r\n",
    };
    ScriptedServer server([&](int fd, int number) {
        ScriptedServer::read_request(fd);
        ScriptedServer::say(fd, answers[static_cast<size_t>(number)]);
    });
    for (const std::string& answer : answers) {
        const auto got = fetch(server.endpoint(), {});
        ASSERT_TRUE(got.ok()) << answer << got.error().message;
        EXPECT_EQ(got->body, "ok") << answer;
        EXPECT_TRUE(got->headers.get("trailer").empty());
    }
}

TEST(Client, DeadlinesForHeadAndBody) {
    ScriptedServer server([](int fd, int number) {
        ScriptedServer::read_request(fd);
        if (number == 1) ScriptedServer::say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort");
        ScriptedServer::wait_for_close(fd);
    });
    ClientOptions options;
    options.header_timeout = 30ms;
    const auto head = fetch(server.endpoint(), {}, options);
    ASSERT_FALSE(head.ok());
    EXPECT_EQ(head.error().code, ErrorCode::kDeadlineExceeded);
    options.header_timeout = 10s;
    options.idle_timeout = 30ms;
    const auto body = fetch(server.endpoint(), {}, options);
    ASSERT_FALSE(body.ok());
    EXPECT_EQ(body.error().code, ErrorCode::kDeadlineExceeded);
}

TEST(Client, ABodyReadWholeIsBounded) {
    ScriptedServer server([](int fd, int) {
        ScriptedServer::read_request(fd);
        ScriptedServer::say(fd, "HTTP/1.1 200 OK\r\n\r\n" + std::string(50'000, 'x'));
    });
    ClientOptions options;
    options.body_bytes = 10'000;
    const auto got = fetch(server.endpoint(), {}, options);
    ASSERT_FALSE(got.ok());
    EXPECT_EQ(got.error().code, ErrorCode::kTooLarge);
}

// Cancelling from outside: while the head is awaited, and while the body is.
class Cancelling : public testing::TestWithParam<bool> {};

TEST_P(Cancelling, EndsTheCallAndClosesTheConnection) {
    const bool in_body = GetParam();
    std::atomic<bool> closed = false;
    ScriptedServer server([&](int fd, int) {
        ScriptedServer::read_request(fd);
        if (in_body) ScriptedServer::say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort");
        ScriptedServer::wait_for_close(fd);
        closed = true;
    });
    const auto run = [&](asio::io_context& io) -> Task<ErrorCode> {
        Client client(io);
        Canceller canceller;
        auto later = [](Canceller stop) -> Task<void> {
            co_await sleep_for(20ms);
            stop.cancel();
        };
        asio::co_spawn(io, later(canceller), asio::detached);
        auto sent = co_await client.send(server.endpoint(), kGet, canceller);
        if (!sent) co_return sent.error().code;
        auto body = co_await (*sent)->read_all();
        if (body) co_return ErrorCode::kInternal;
        co_return body.error().code;
    };
    EXPECT_EQ(run_task<ErrorCode>(run), ErrorCode::kCancelled);
    EXPECT_TRUE(eventually([&] { return closed.load(); }));
}

INSTANTIATE_TEST_SUITE_P(Client, Cancelling, testing::Bool());

TEST(Client, CancelOfTheResponseItself) {
    ScriptedServer server([&](int fd, int) {
        ScriptedServer::read_request(fd);
        ScriptedServer::say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort");
        ScriptedServer::wait_for_close(fd);
    });
    const auto run = [&](asio::io_context& io) -> Task<ErrorCode> {
        Client client(io);
        auto sent = co_await client.send(server.endpoint(), kGet);
        if (!sent) co_return sent.error().code;
        auto later = [](ClientResponse& response) -> Task<void> {
            co_await sleep_for(20ms);
            response.cancel();
        };
        asio::co_spawn(io, later(**sent), asio::detached);
        auto body = co_await (*sent)->read_all();
        if (body) co_return ErrorCode::kInternal;
        co_return body.error().code;
    };
    EXPECT_EQ(run_task<ErrorCode>(run), ErrorCode::kCancelled);
}

TEST(Client, AnUnfinishedResponseClosesItsConnection) {
    TestServer server;
    Signal never(server.io());
    std::atomic<bool> told = false;
    server.route("GET", "/", [&](Exchange& exchange) -> Task<void> {
        exchange.on_client_gone([&] {
            told = true;
            never.notify();
        });
        co_await exchange.start_stream(200, Headers{});
        co_await exchange.write("x");
        co_await never.wait(10s);
    });
    server.start();
    const auto run = [&](asio::io_context& io) -> Task<int> {
        Client client(io);
        auto sent = co_await client.send(server.endpoint(), kGet);
        if (!sent) co_return -1;
        auto piece = co_await (*sent)->read();
        sent->reset();
        co_return piece && *piece == "x" ? 0 : -2;
    };
    EXPECT_EQ(run_task<int>(run), 0);
    EXPECT_TRUE(eventually([&] { return told.load(); }));
    server.stop(1s);  // before the signal goes, which belongs to its thread
}

TEST(Client, HeadAnswersHaveNoBodyAndKeepTheConnection) {
    TestServer server;
    server.route("GET", "/", [](Exchange& exchange) -> Task<void> {
        co_await exchange.respond(text_response(200, "hello"));
    });
    server.start();
    const auto run = [&](asio::io_context& io) -> Task<int> {
        Client client(io);
        for (int i = 0; i < 3; ++i) {
            Client::Call call;
            call.method = i % 2 == 0 ? "HEAD" : "GET";
            auto sent = co_await client.send(server.endpoint(), call);
            if (!sent) co_return -1;
            auto body = co_await (*sent)->read_all();
            if (!body || body->size() != (i % 2 == 0 ? 0u : 5u)) co_return -2;
        }
        co_return static_cast<int>(server.connections());
    };
    EXPECT_EQ(run_task<int>(run), 1);
}

}  // namespace
}  // namespace gantry::http
