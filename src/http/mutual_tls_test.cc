// Mutual TLS on a plain port and on one of HTTPS, connections that leave HTTP, and dialed ones.
#include "http/mutual_tls.h"

#include <gmock/gmock.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include "http/http_test_support.h"
#include "http/tls_test_support.h"

namespace gantry::http {
namespace {

using testing::HasSubstr;

constexpr char kProtocol[] = "test-link/1";
constexpr std::chrono::hours kDay{24};

class MutualTest : public testing::Test {
protected:
    MutualTest() {
        for (auto* one : {&authority_, &other_authority_}) *one = make_authority("test", system_clock().wall(), kDay).value();
        digest_ = read_certificate(authority_.certificate)->digest;
        const CertifiedKey own = signed_key(authority_, "the-server", CertificateUse::kServer);
        server_.server().accept_mutual(MutualTls::server(own, authority_.certificate, kProtocol).value(), "link");
        server_.route("GET", "/who", [](Exchange& exchange) -> Task<void> {
            const Request& r = exchange.request();
            co_await exchange.respond(text_response(200, r.listener + " [" + r.peer_certificate + "] " + (r.tls ? "tls" : "plain")));
        });
        server_.route("POST", "/echo", [](Exchange& exchange) { return echo(exchange); });
    }
    static CertifiedKey signed_key(const CertifiedKey& authority, const std::string& name, CertificateUse use) {
        const std::string key = make_private_key().value();
        return {sign_request(authority, make_certificate_request(key, "x").value(), name, use, system_clock().wall(), kDay).value(), key};
    }
    static Task<void> echo(Exchange& exchange) {
        auto stream = co_await exchange.take_over("echo/1");
        if (!stream) co_return;
        while (true) {
            const auto piece = co_await stream->read(5s);
            if (!piece || piece->empty()) break;
            co_await stream->write("<" + *piece + ">", 5s);
        }
    }
    ClientOptions trusting(const CertifiedKey& own = {}, const std::string& digest = "", const std::string& name = "the-server") const {
        ClientOptions options;
        options.mutual = MutualTls::client(own, digest.empty() ? digest_ : digest, name, kProtocol).value();
        return options;
    }
    std::string link() const { return "tls:127.0.0.1:" + std::to_string(server_.port()); }
    std::string asked(const ClientOptions& options) const {
        const auto answer = fetch(link(), {.target = "/who"}, options);
        return answer ? answer->body : "error: " + answer.error().message;
    }

    CertifiedKey authority_, other_authority_;
    std::string digest_;
    TestServer server_;
};

TEST_F(MutualTest, shares_a_plain_port) {
    server_.start();
    EXPECT_EQ(fetch(server_.endpoint(), {.target = "/who"})->body, "public [] plain");
    EXPECT_EQ(asked(trusting()), "link [] tls") << "known by its authority, ours not shown yet";
    EXPECT_EQ(asked(trusting(signed_key(authority_, "wrk_1", CertificateUse::kClient))), "link [wrk_1] tls");
    // TLS of any other kind finds nothing there.
    EXPECT_FALSE(fetch(link(), {.target = "/who"}).ok());
}

TEST_F(MutualTest, what_begins_like_tls_and_is_none_is_closed) {
    const uint16_t port = server_.start();
    RawClient noise(port);
    ASSERT_TRUE(noise.send(std::string("\x16\x03\x01\x00\x05hello", 10)));
    EXPECT_THAT(noise.read_to_end(), testing::Not(HasSubstr("HTTP")));
    RawClient after(port);
    ASSERT_TRUE(after.send("GET /who HTTP/1.1\r\nHost: x\r\n\r\n"));
    EXPECT_THAT(after.read_answer(), HasSubstr("plain"));
}

TEST_F(MutualTest, shares_a_port_of_https) {
    TestAuthority web;
    const auto identity = TlsIdentity::load(web.issue("web", "IP:127.0.0.1")).value();
    const uint16_t port = server_.server().listen_tcp("127.0.0.1", 0, "public", identity).value();
    server_.run();
    const std::string https = "tls:127.0.0.1:" + std::to_string(port);
    ClientOptions browser;
    browser.ca_file = web.ca_file();
    EXPECT_EQ(fetch(https, {.target = "/who"}, browser)->body, "public [] tls");
    EXPECT_EQ(fetch(https, {.target = "/who"}, trusting(signed_key(authority_, "wrk_1", CertificateUse::kClient)))->body, "link [wrk_1] tls");
    EXPECT_EQ(fetch(https, {.target = "/who"}, trusting())->body, "link [] tls");
}

TEST_F(MutualTest, a_server_of_another_authority_is_refused) {
    server_.start();
    const std::string other = read_certificate(other_authority_.certificate)->digest;
    EXPECT_THAT(asked(trusting({}, other)), HasSubstr("error"));
    EXPECT_THAT(asked(trusting({}, "", "another-server")), HasSubstr("error"));
}

TEST_F(MutualTest, certificates_of_others_are_refused) {
    server_.start();
    EXPECT_THAT(asked(trusting(signed_key(other_authority_, "wrk_1", CertificateUse::kClient))), HasSubstr("error"));
    EXPECT_THAT(asked(trusting(signed_key(authority_, "wrk_1", CertificateUse::kServer))), HasSubstr("error")) << "a server's is no client's";
    // Signed by one who is not an authority himself.
    const CertifiedKey worker = signed_key(authority_, "wrk_1", CertificateUse::kClient);
    EXPECT_THAT(asked(trusting(signed_key(worker, "wrk_2", CertificateUse::kClient))), HasSubstr("error"));
    EXPECT_EQ(asked(trusting(worker)), "link [wrk_1] tls") << "the server is as well as ever";
}

// What a coroutine gives, run to its end.
template <class T>
Task<void> keep(Task<T> task, std::optional<T>& out) {
    out.emplace(co_await std::move(task));
}
template <class T>
T run(asio::io_context& io, Task<T> task) {
    std::optional<T> out;
    asio::co_spawn(io, keep(std::move(task), out), asio::detached);
    while (!out && io.run_one() > 0) {
    }
    return std::move(*out);
}

TEST_F(MutualTest, an_exchange_becomes_a_stream) {
    server_.start();
    asio::io_context io;
    Client client(io, trusting(signed_key(authority_, "wrk_1", CertificateUse::kClient)));
    auto stream = run(io, client.upgrade(link(), {.method = "POST", .target = "/echo"}, "echo/1"));
    ASSERT_TRUE(stream.ok()) << stream.error().message;
    EXPECT_TRUE(run(io, stream->write("hello", 5s)));
    EXPECT_EQ(*run(io, stream->read(5s)), "<hello>");
    EXPECT_EQ(run(io, stream->read(10ms)).error().code, ErrorCode::kDeadlineExceeded);
    EXPECT_TRUE(run(io, stream->write("again", 5s)));
    EXPECT_EQ(*run(io, stream->read(5s)), "<again>");
    stream->unread("back");
    EXPECT_TRUE(stream->dead()) << "it is not idle";
    EXPECT_EQ(*run(io, stream->read(5s)), "back");
    stream->close();
    EXPECT_TRUE(eventually([&] { return server_.connections() == 0; }));

    const auto refused = run(io, client.upgrade(link(), {.method = "POST", .target = "/nowhere"}, "echo/1"));
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().reason, "status 404");
}

// A connection that the client dials by itself and hands on: spliced to another server's socket.
TEST_F(MutualTest, a_dialed_connection_is_kept_as_any_other) {
    server_.start();
    asio::io_context io;
    int dialed = 0;
    ClientOptions options;
    options.dialed_prefix = "far:";
    options.dialer = [&](std::string endpoint, SteadyTime) -> Task<Result<Stream>> {
        ++dialed;
        if (endpoint != "far:away") co_return unavailable("nobody of that name");
        auto stream = co_await Stream::connect(io, server_.endpoint(), 5s);
        co_return stream;
    };
    Client client(io, options);
    const auto ask = [&](const std::string& endpoint) -> Task<Result<std::string>> {
        Client::Call call{.target = "/who"};
        auto answer = co_await client.send(endpoint, std::move(call));
        if (!answer) co_return std::move(answer).error();
        auto body = co_await (*answer)->read_all();
        co_return body;
    };
    EXPECT_EQ(*run(io, ask("far:away")), "public [] plain");
    EXPECT_EQ(*run(io, ask("far:away")), "public [] plain");
    EXPECT_EQ(dialed, 1) << "kept alive";
    EXPECT_THAT(run(io, ask("far:off")).error().message, HasSubstr("nobody"));
}

TEST_F(MutualTest, a_splice_carries_both_ways_and_ends_with_either) {
    server_.start();
    asio::io_context io;
    // A listener whose every connection is spliced to the server.
    asio::ip::tcp::acceptor acceptor(io, {asio::ip::make_address("127.0.0.1"), 0});
    const std::string front = "tcp:127.0.0.1:" + std::to_string(acceptor.local_endpoint().port());
    Client client(io, {});
    bool ended = false;
    const auto relay = [&]() -> Task<void> {
        auto taken = co_await Stream::connect(io, front, 5s);
        auto behind = co_await Stream::connect(io, server_.endpoint(), 5s);
        co_await splice(std::move(*taken), std::move(*behind), 5s);
        ended = true;
    };
    asio::co_spawn(io, relay(), asio::detached);
    asio::ip::tcp::socket accepted(io);
    bool came = false;
    acceptor.async_accept(accepted, [&](const boost::system::error_code& failed) { came = !failed; });
    while (!came && io.run_one() > 0) {
    }
    const std::string request = "GET /who HTTP/1.1\r\nhost: x\r\n\r\n";
    asio::write(accepted, asio::buffer(request));
    std::string answer;
    std::array<char, 4096> some{};
    accepted.async_read_some(asio::buffer(some), [&](const boost::system::error_code&, size_t got) { answer.assign(some.data(), got); });
    while (answer.empty() && io.run_one() > 0) {
    }
    EXPECT_THAT(answer, HasSubstr("public [] plain"));
    accepted.close();
    while (!ended && io.run_one() > 0) {
    }
    EXPECT_TRUE(ended);
    EXPECT_TRUE(eventually([&] { return server_.connections() == 0; }));
}

}  // namespace
}  // namespace gantry::http
