// TLS of client and server against each other, and against a raw socket that speaks what it shouldn't.

#include <gmock/gmock.h>
#include <openssl/ssl.h>
#include <sys/stat.h>

#include <fstream>

#include "http/http_test_support.h"
#include "http/tls_test_support.h"

namespace gantry::http {
namespace {

using testing::HasSubstr;

constexpr char kLocal[] = "DNS:localhost,IP:127.0.0.1";

class TlsServer {
public:
    explicit TlsServer(std::shared_ptr<TlsIdentity> identity, ServerLimits limits = {}) : server_(limits) {
        server_.route("POST", "/echo", [](Exchange& exchange) -> Task<void> {
            std::string body = (exchange.request().tls ? "tls:" : "plain:") + exchange.request().body;
            co_await exchange.respond(text_response(200, std::move(body)));
        });
        server_.route("GET", "/stream", [](Exchange& exchange) -> Task<void> {
            Headers headers{{"content-type", "text/event-stream"}};
            co_await exchange.start_stream(200, headers);
            for (int i = 0; i < 100; ++i) {
                const std::string piece(static_cast<size_t>(i) * 700, static_cast<char>('a' + i % 26));
                co_await exchange.write(piece);
            }
            co_await exchange.finish();
        });
        server_.route("GET", "/wait", [this](Exchange& exchange) -> Task<void> {
            exchange.on_client_gone([this] { gone_.set_value(); });
            Headers headers{{"content-type", "text/event-stream"}};
            co_await exchange.start_stream(200, headers);
            co_await exchange.write("data: on\n\n");
            while (!exchange.client_gone()) co_await sleep_for(5ms);
        });
        const auto port = server_.server().listen_tcp("127.0.0.1", 0, "public", std::move(identity));
        EXPECT_TRUE(port.ok());
        port_ = port.ok() ? *port : 0;
        server_.run();
    }
    uint16_t port() const { return port_; }
    std::string at(const std::string& host) const { return "tls:" + host + ":" + std::to_string(port_); }
    TestServer& server() { return server_; }
    std::future<void> gone() { return gone_.get_future(); }

private:
    std::promise<void> gone_;
    TestServer server_;
    uint16_t port_ = 0;
};

std::shared_ptr<TlsIdentity> identity_of(TlsFiles files) {
    auto loaded = TlsIdentity::load(std::move(files));
    EXPECT_TRUE(loaded.ok()) << (loaded.ok() ? "" : loaded.error().message);
    return loaded.ok() ? *loaded : nullptr;
}

ClientOptions trusting(const TestAuthority& authority) {
    ClientOptions options;
    options.ca_file = authority.ca_file();
    return options;
}

std::string refusal(TlsFiles files) {
    const auto loaded = TlsIdentity::load(std::move(files));
    return loaded.ok() ? "" : loaded.error().message;
}

void write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }
std::string read(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

// ---- both ends

TEST(Tls, BodiesOfAllSizesByNameAndAddress) {
    const TestAuthority authority;
    TlsServer server(identity_of(authority.issue("server", kLocal)));
    for (const std::string host : {"127.0.0.1", "localhost"}) {
        for (const size_t size : {0, 1, 16'383, 16'384, 16'385, 65'536, 3'000'000}) {
            const std::string body(size, 'x');
            const auto answer = fetch(server.at(host), {.method = "POST", .target = "/echo", .body = body}, trusting(authority));
            ASSERT_TRUE(answer.ok()) << size << ": " << answer.error().message;
            EXPECT_TRUE(answer->body == "tls:" + body) << size;
        }
    }
}

TEST(Tls, StreamsArriveWhole) {
    const TestAuthority authority;
    TlsServer server(identity_of(authority.issue("server", kLocal)));
    std::string all;
    const auto answer = fetch_stream(server.at("localhost"), {.target = "/stream"}, [&all](std::string_view piece) {
        all.append(piece);
        return true;
    }, trusting(authority));
    ASSERT_TRUE(answer.ok()) << answer.error().message;
    EXPECT_EQ(all.size(), 700u * 99u * 100u / 2);
}

TEST(Tls, AConnectionIsKeptAndUsedAgain) {
    const TestAuthority authority;
    TlsServer server(identity_of(authority.issue("server", kLocal)));
    const size_t connections = run_task<size_t>([&](asio::io_context& io) -> Task<size_t> {
        Client client(io, trusting(authority));
        for (int i = 0; i < 20; ++i) {
            Client::Call call{.method = "POST", .target = "/echo", .body = std::string(static_cast<size_t>(i) * 1000, 'y')};
            auto sent = co_await client.send(server.at("localhost"), call);
            EXPECT_TRUE(sent.ok());
            const auto body = co_await (*sent)->read_all();
            EXPECT_TRUE(body.ok());
        }
        co_return server.server().connections();
    });
    EXPECT_EQ(connections, 1u);
}

TEST(Tls, AClientThatLeavesIsSeenAtOnce) {
    const TestAuthority authority;
    TlsServer server(identity_of(authority.issue("server", kLocal)));
    auto gone = server.gone();
    const auto left = fetch_stream(server.at("localhost"), {.target = "/wait"}, [](std::string_view) { return false; },
                                   trusting(authority));
    ASSERT_TRUE(left.ok());
    EXPECT_EQ(gone.wait_for(5s), std::future_status::ready);
}

// ---- whom the client trusts

TEST(Tls, AStrangersCertificateIsRefused) {
    const TestAuthority authority;
    const TestAuthority stranger;
    TlsServer server(identity_of(stranger.issue("server", kLocal)));
    for (const ClientOptions& options : {trusting(authority), ClientOptions{}}) {
        const auto answer = fetch(server.at("localhost"), {}, options);
        ASSERT_FALSE(answer.ok());
        EXPECT_EQ(answer.error().reason, kTlsFailed);
        EXPECT_THAT(answer.error().message, HasSubstr("its certificate is refused"));
    }
}

TEST(Tls, ACertificateOfAnotherNameIsRefused) {
    const TestAuthority authority;
    TlsServer server(identity_of(authority.issue("server", "DNS:example.com,DNS:*.localhost")));
    for (const std::string host : {"localhost", "127.0.0.1"}) {
        const auto answer = fetch(server.at(host), {}, trusting(authority));
        ASSERT_FALSE(answer.ok()) << host;
        EXPECT_EQ(answer.error().reason, kTlsFailed);
        EXPECT_THAT(answer.error().message, HasSubstr("mismatch"));
    }
}

TEST(Tls, AnExpiredCertificateIsServedAndRefused) {
    const TestAuthority authority;
    TlsServer server(identity_of(authority.issue("server", kLocal, -60)));
    const auto answer = fetch(server.at("localhost"), {}, trusting(authority));
    ASSERT_FALSE(answer.ok());
    EXPECT_THAT(answer.error().message, HasSubstr("expired"));
}

TEST(Tls, APlainServerIsToldApart) {
    const TestAuthority authority;
    TestServer plain;
    plain.start();
    const auto answer = fetch("tls:127.0.0.1:" + std::to_string(plain.port()), {}, trusting(authority));
    ASSERT_FALSE(answer.ok());
    EXPECT_EQ(answer.error().reason, kTlsFailed);
}

TEST(Tls, AMissingAuthorityFileIsNamed) {
    ClientOptions options;
    options.ca_file = "/nowhere/ca.pem";
    TestServer plain;
    plain.start();
    const auto answer = fetch("tls:127.0.0.1:" + std::to_string(plain.port()), {}, options);
    ASSERT_FALSE(answer.ok());
    EXPECT_THAT(answer.error().message, HasSubstr("/nowhere/ca.pem can't be read"));
}

// ---- what strangers do

TEST(Tls, PlainHttpGetsAnAnswerItCanRead) {
    const TestAuthority authority;
    TlsServer server(identity_of(authority.issue("server", kLocal)));
    RawClient client(server.port());
    client.send("GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n");
    const std::string answer = client.read_to_end();
    EXPECT_EQ(status_of(answer), 400);
    EXPECT_THAT(answer, HasSubstr("this port speaks HTTPS: use https://"));
    EXPECT_TRUE(client.closed);
}

TEST(Tls, GarbageAndSilenceHoldNothing) {
    const TestAuthority authority;
    ServerLimits limits;
    limits.header_timeout = 200ms;
    TlsServer server(identity_of(authority.issue("server", kLocal)), limits);
    RawClient silent(server.port());
    RawClient half(server.port());
    half.send("\x16\x03\x01\x02");           // the beginning of a record that never comes
    RawClient garbage(server.port());
    garbage.send(std::string(4096, '\xff'));
    RawClient letters(server.port());
    letters.send("hello");
    for (RawClient* client : {&silent, &half, &garbage, &letters}) {
        client->read_to_end(5s);
        EXPECT_TRUE(client->closed);
    }
    EXPECT_TRUE(eventually([&] { return server.server().connections() == 0; }));
    const auto answer = fetch(server.at("localhost"), {.method = "POST", .target = "/echo"}, trusting(authority));
    EXPECT_TRUE(answer.ok());
}

struct Handshake {
    bool done = false;
    std::string protocol;
    std::string version;
};
// OpenSSL's own client, with the versions and protocols that it is told.
Handshake shake(uint16_t port, int version_max, const std::string& protocols) {
    RawClient raw(port);
    const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()), &SSL_CTX_free);
    SSL_CTX_set_security_level(context.get(), 0);   // else OpenSSL itself would not offer the old ones
    SSL_CTX_set_max_proto_version(context.get(), version_max);
    SSL_CTX_set_alpn_protos(context.get(), reinterpret_cast<const unsigned char*>(protocols.data()),
                            static_cast<unsigned>(protocols.size()));
    const std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context.get()), &SSL_free);
    SSL_set_fd(ssl.get(), raw.fd());
    Handshake result;
    result.done = SSL_connect(ssl.get()) == 1;
    const unsigned char* chosen = nullptr;
    unsigned length = 0;
    SSL_get0_alpn_selected(ssl.get(), &chosen, &length);
    if (length > 0) result.protocol.assign(reinterpret_cast<const char*>(chosen), length);
    result.version = SSL_get_version(ssl.get());
    return result;
}

TEST(Tls, VersionsAndProtocols) {
    const TestAuthority authority;
    TlsServer server(identity_of(authority.issue("server", kLocal)));
    const std::string ours = "\x08http/1.1";
    EXPECT_EQ(shake(server.port(), TLS1_3_VERSION, "\x02h2" + ours).protocol, "http/1.1");
    EXPECT_EQ(shake(server.port(), TLS1_3_VERSION, ours).version, "TLSv1.3");
    EXPECT_EQ(shake(server.port(), TLS1_2_VERSION, ours).version, "TLSv1.2");
    EXPECT_TRUE(shake(server.port(), TLS1_2_VERSION, "").done);
    EXPECT_FALSE(shake(server.port(), TLS1_1_VERSION, "").done);
    EXPECT_FALSE(shake(server.port(), TLS1_3_VERSION, "\x02h2").done);
}

// ---- the files

TEST(TlsIdentity, WhatIsWrongIsNamed) {
    const TestAuthority authority;
    const TlsFiles good = authority.issue("server", kLocal);
    const TlsFiles other = authority.issue("other", kLocal);
    EXPECT_EQ(refusal(good), "");
    EXPECT_THAT(refusal({authority.path("none.pem"), good.key}), HasSubstr("none.pem can't be read"));
    EXPECT_THAT(refusal({good.certificate, authority.path("none.key")}), HasSubstr("none.key can't be read"));
    EXPECT_THAT(refusal({good.certificate, other.key}), HasSubstr("is not that of the first certificate"));
    EXPECT_THAT(refusal({good.key, good.key}), HasSubstr("holds no certificate"));
    EXPECT_THAT(refusal({good.certificate, good.certificate}), HasSubstr("holds no private key"));
    EXPECT_THAT(refusal({authority.path(""), good.key}), HasSubstr("is no file"));
    EXPECT_THAT(refusal(authority.issue("locked", kLocal, 3600, "secret")), HasSubstr("is encrypted"));
    write(authority.path("torn.pem"), read(good.certificate) + read(good.certificate).substr(0, 200));
    EXPECT_THAT(refusal({authority.path("torn.pem"), good.key}), HasSubstr("damaged behind its first certificate"));
    if (::geteuid() != 0) {   // root reads everything
        ::chmod(good.key.c_str(), 0);
        EXPECT_THAT(refusal(good), HasSubstr("let the user that gantry runs as"));
    }
}

TEST(TlsIdentity, AChainIsSentWhole) {
    const TestAuthority authority;
    const TlsFiles files = authority.issue("server", kLocal);
    write(files.certificate, read(files.certificate) + read(authority.ca_file()));
    EXPECT_EQ(refusal(files), "");
}

TEST(TlsIdentity, ANewPairIsForNewConnectionsAndABadOneForNone) {
    const TestAuthority authority;
    const TestAuthority later;
    const TlsFiles files = authority.issue("server", kLocal);
    const auto identity = identity_of(files);
    EXPECT_THAT(identity->summary(), HasSubstr("localhost, valid until 20"));
    EXPECT_FALSE(identity->changed_on_disk());
    TlsServer server(identity);

    write(files.key, "no key");
    EXPECT_TRUE(identity->changed_on_disk());
    EXPECT_FALSE(identity->reload());
    EXPECT_FALSE(identity->changed_on_disk());   // told once
    EXPECT_TRUE(fetch(server.at("localhost"), {}, trusting(authority)).ok());

    const TlsFiles fresh = later.issue("server", kLocal);
    write(files.certificate, read(fresh.certificate));
    write(files.key, read(fresh.key));
    EXPECT_TRUE(identity->changed_on_disk());
    EXPECT_TRUE(identity->reload());
    EXPECT_FALSE(fetch(server.at("localhost"), {}, trusting(authority)).ok());
    EXPECT_TRUE(fetch(server.at("localhost"), {}, trusting(later)).ok());
}

}  // namespace
}  // namespace gantry::http
