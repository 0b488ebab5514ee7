// The client of a provider, against one that is played by the test: what it believes, how often it asks, and what it can't be made to do.
#include "control/auth/oidc_provider.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>

#include "control/auth/jwt_test_support.h"
#include "http/http_test_support.h"
#include "http/tls_test_support.h"

namespace gantry::control {
namespace {

using namespace std::chrono_literals;
using http::Exchange;
using http::Task;
using protocol::oidc::Discovery;
using protocol::oidc::IdClaims;
using testing::HasSubstr;

constexpr char kNonce[] = "the-nonce";

json::object to_json(const protocol::oidc::Jwk& key) {
    return {{"kid", key.kid}, {"kty", key.kty}, {"n", key.n}, {"e", key.e}, {"crv", key.crv}, {"x", key.x}, {"y", key.y}};
}

class Provider {
public:
    explicit Provider(std::shared_ptr<http::TlsIdentity> tls = nullptr) {
        for (const char* path : {"/.well-known/openid-configuration", "/jwks"}) {
            server_.route("GET", path, [this](Exchange& exchange) { return serve(exchange); });
        }
        server_.route("POST", "/token", [this](Exchange& exchange) { return serve(exchange); });
        const std::string scheme = tls ? "https" : "http";
        const auto port = server_.server().listen_tcp("127.0.0.1", 0, "public", std::move(tls));
        EXPECT_TRUE(port.ok());
        url = scheme + "://127.0.0.1:" + std::to_string(*port);
        document = {{"issuer", url}, {"authorization_endpoint", url + "/authorize"}, {"token_endpoint", url + "/token"}, {"jwks_uri", url + "/jwks"}};
        server_.run();
    }
    ~Provider() { server_.stop(1s); }
    Provider(const Provider&) = delete;
    Provider& operator=(const Provider&) = delete;

    // The server's thread reads them only while the test waits for its answer.
    std::string url;
    json::object document;
    json::array keys;
    http::Response token_answer = http::json_response(200, R"({"id_token":"a.b.c"})");
    std::string answer_instead;              // of the path that `misbehaves`
    std::string misbehaves;
    bool trickles = false;                   // at that path: a byte now and then, for ever
    std::map<std::string, int> asked;
    http::Request last;

private:
    Task<void> serve(Exchange& exchange) {
        last = exchange.request();
        const std::string path = last.path;
        ++asked[path];
        if (path == misbehaves && trickles) {
            http::Headers none;
            co_await exchange.start_stream(200, none);
            while (!exchange.client_gone()) {
                co_await exchange.write(" ");
                co_await http::sleep_for(5ms);
            }
            co_return;
        }
        http::Response response = answer(path);
        co_await exchange.respond(std::move(response));
    }
    http::Response answer(const std::string& path) const {
        if (path == misbehaves) return http::json_response(200, answer_instead);
        if (path == "/token") return token_answer;
        return http::json_response(200, path == "/jwks" ? json::serialize(json::object{{"keys", keys}}) : json::serialize(document));
    }
    http::TestServer server_;
};

class OidcProviderTest : public testing::Test {
protected:
    void use(Provider& provider) {
        options_.issuer = provider.url;
        options_.client_id = "gantry";
        client_ = std::make_unique<OidcProvider>(io_, options_, clock_, within_);
    }
    template <class T>
    T wait(Task<T> task) {
        std::optional<T> result;
        const auto keep = [](Task<T> asked, std::optional<T>& into) -> Task<void> { into.emplace(co_await std::move(asked)); };
        http::asio::co_spawn(io_, keep(std::move(task), result), http::asio::detached);
        io_.restart();
        while (!result) io_.run_one();
        return *std::move(result);
    }
    Result<Discovery> discovery() { return wait(client_->discovery()); }
    Result<IdClaims> verify(const std::string& token) { return wait(client_->verify(token, kNonce)); }
    Result<std::string> exchange() { return wait(client_->exchange("the code", "the-verifier", "https://gantry.example/callback")); }

    std::string token(const Signer& signer, const std::string& kid, json::object changed = {}) const {
        const int64_t now = std::chrono::duration_cast<std::chrono::seconds>(clock_.wall().time_since_epoch()).count();
        json::object claims{{"iss", options_.issuer}, {"sub", "42"}, {"aud", "gantry"}, {"exp", now + 300}, {"iat", now}, {"nonce", kNonce}};
        for (const auto& [name, value] : changed) claims[name] = value;
        return signer.token(R"({"alg":"ES256","kid":")" + kid + "\"}", json::serialize(claims));
    }

    FakeClock clock_;
    OidcOptions options_;
    std::chrono::milliseconds within_ = 20s;
    http::asio::io_context io_{1};
    http::asio::executor_work_guard<http::asio::io_context::executor_type> guard_{io_.get_executor()};
    std::unique_ptr<OidcProvider> client_;
};

TEST_F(OidcProviderTest, ATokenOfItsKeyIsTakenAndNoOther) {
    Provider provider;
    const Signer signer = Signer::ec();
    const Signer stranger = Signer::ec();
    provider.keys = {to_json(signer.jwk("a"))};
    use(provider);
    ASSERT_TRUE(discovery().ok());
    const auto good = verify(token(signer, "a"));
    ASSERT_TRUE(good.ok()) << good.error().message;
    EXPECT_EQ(good->sub, "42");
    const int before = provider.asked["/jwks"];
    for (const std::string& bad : {token(stranger, "a"), token(signer, "a", {{"nonce", "another"}}), token(signer, "a", {{"aud", "other"}}),
                                   std::string("a.b.c"), std::string()}) {
        const auto refused = verify(bad);
        ASSERT_FALSE(refused.ok()) << bad;
        EXPECT_EQ(refused.error().code, ErrorCode::kUnauthenticated);
        EXPECT_EQ(refused.error().reason, "oidc_token");
    }
    EXPECT_EQ(provider.asked["/jwks"], before) << "its key is known: asking again would tell nothing new";
}

TEST_F(OidcProviderTest, ANewKeyIsFetchedAtOnceAndNoMoreOftenThanEveryTenSeconds) {
    Provider provider;
    const Signer first = Signer::ec();
    const Signer second = Signer::ec();
    const Signer never = Signer::ec();
    provider.keys = {to_json(first.jwk("a"))};
    use(provider);
    ASSERT_TRUE(discovery().ok());
    EXPECT_TRUE(verify(token(first, "a")).ok());
    provider.keys = {to_json(first.jwk("a")), to_json(second.jwk("b"))};
    EXPECT_TRUE(verify(token(second, "b")).ok());
    EXPECT_EQ(provider.asked["/jwks"], 2);
    for (int i = 0; i < 20; ++i) EXPECT_FALSE(verify(token(never, "c" + std::to_string(i))).ok());
    EXPECT_EQ(provider.asked["/jwks"], 2);
    EXPECT_TRUE(verify(token(first, "a")).ok()) << "meanwhile the others are served";
    clock_.advance(10s);
    EXPECT_FALSE(verify(token(never, "c")).ok());
    EXPECT_FALSE(verify(token(never, "d")).ok());
    EXPECT_EQ(provider.asked["/jwks"], 3);
}

TEST_F(OidcProviderTest, AKeyThatWasTakenBackIsBelievedForAnHourAtMost) {
    Provider provider;
    const Signer old = Signer::ec();
    const Signer fresh = Signer::ec();
    provider.keys = {to_json(old.jwk("a"))};
    use(provider);
    ASSERT_TRUE(discovery().ok());
    EXPECT_TRUE(verify(token(old, "a")).ok());
    provider.keys = {to_json(fresh.jwk("b"))};
    clock_.advance(59min);
    EXPECT_TRUE(verify(token(old, "a")).ok());
    clock_.advance(1min);
    EXPECT_FALSE(verify(token(old, "a")).ok());
    EXPECT_TRUE(verify(token(fresh, "b")).ok());
    // Nor is it, when the provider can't be asked.
    clock_.advance(60min);
    provider.misbehaves = "/jwks";
    provider.answer_instead = "no keys";
    const auto unknown = verify(token(fresh, "b"));
    ASSERT_FALSE(unknown.ok());
    EXPECT_EQ(unknown.error().reason, "oidc_unavailable");
}

TEST_F(OidcProviderTest, ManyAtOnceAskOnce) {
    Provider provider;
    use(provider);
    int good = 0;
    const auto one = [&]() -> Task<void> {
        const auto found = co_await client_->discovery();
        good += found.ok() ? 1 : 0;
    };
    constexpr int kMany = 50;
    for (int i = 0; i < kMany; ++i) http::asio::co_spawn(io_, one(), http::asio::detached);
    while (good < kMany) io_.run_one();
    EXPECT_EQ(provider.asked["/.well-known/openid-configuration"], 1);
}

TEST_F(OidcProviderTest, AFailureIsTheAnswerForTwoSeconds) {
    Provider provider;
    use(provider);
    provider.document["issuer"] = "https://evil.example";
    for (int i = 0; i < 5; ++i) EXPECT_THAT(discovery().error().message, HasSubstr("calls itself \"https://evil.example\""));
    EXPECT_EQ(provider.asked["/.well-known/openid-configuration"], 1);
    provider.document["issuer"] = provider.url;
    EXPECT_FALSE(discovery().ok());
    clock_.advance(2s);
    EXPECT_TRUE(discovery().ok());
}

TEST_F(OidcProviderTest, WhatIsTooLongOrTooSlowIsLeft) {
    Provider provider;
    within_ = 300ms;
    use(provider);
    provider.misbehaves = "/.well-known/openid-configuration";
    provider.answer_instead = "{\"x\":\"" + std::string(600 * 1024, 'x') + "\"}";
    EXPECT_THAT(discovery().error().message, HasSubstr("longer than the limit"));
    clock_.advance(2s);
    provider.trickles = true;
    const auto slow = discovery();
    ASSERT_FALSE(slow.ok());
    EXPECT_EQ(slow.error().code, ErrorCode::kDeadlineExceeded);
    clock_.advance(2s);
    provider.misbehaves.clear();
    EXPECT_TRUE(discovery().ok()) << "and it may ask again";
}

TEST_F(OidcProviderTest, RedirectsAreNotFollowed) {
    Provider provider;
    use(provider);
    provider.token_answer = http::json_response(302, "{}");
    provider.token_answer.headers.set("location", provider.url + "/jwks");
    const auto moved = exchange();
    ASSERT_FALSE(moved.ok());
    EXPECT_EQ(moved.error().reason, "oidc_unavailable");
    EXPECT_EQ(provider.asked["/jwks"], 0);
}

TEST_F(OidcProviderTest, ACodeIsSentWithItsVerifierAndTheSecretWhereItIsTaken) {
    Provider provider;
    options_.client_secret = "s3cret: +/%";
    use(provider);
    EXPECT_EQ(*exchange(), "a.b.c");
    EXPECT_EQ(provider.last.body, "grant_type=authorization_code&code=the%20code&redirect_uri=https%3A%2F%2Fgantry.example%2Fcallback"
                                  "&code_verifier=the-verifier");
    EXPECT_EQ(provider.last.headers.get("authorization"), "Basic Z2FudHJ5OnMzY3JldCUzQSUyMCUyQiUyRiUyNQ==") << "gantry:s3cret%3A%20%2B%2F%25";
    provider.document["token_endpoint_auth_methods_supported"] = {"client_secret_post"};
    use(provider);
    EXPECT_TRUE(exchange().ok());
    EXPECT_EQ(provider.last.headers.get("authorization"), "");
    EXPECT_THAT(provider.last.body, HasSubstr("&client_id=gantry&client_secret=s3cret%3A%20%2B%2F%25"));
    options_.client_secret.clear();
    use(provider);
    EXPECT_TRUE(exchange().ok());
    EXPECT_THAT(provider.last.body, testing::EndsWith("&client_id=gantry")) << "a public client";

    provider.token_answer = http::json_response(400, R"({"error":"invalid_grant"})");
    EXPECT_EQ(exchange().error().code, ErrorCode::kUnauthenticated);
    EXPECT_EQ(exchange().error().reason, "oidc_refused");
}

TEST_F(OidcProviderTest, BehindTlsItsCertificateCountsAndNothingIsSaidInTheClear) {
    const http::TestAuthority authority;
    auto identity = http::TlsIdentity::load(authority.issue("provider", "IP:127.0.0.1"));
    ASSERT_TRUE(identity.ok());
    Provider provider(*identity);
    options_.ca_file = http::TestAuthority().ca_file();   // gone by now
    use(provider);
    EXPECT_EQ(discovery().error().reason, "oidc_unavailable");
    const http::TestAuthority stranger;
    options_.ca_file = stranger.ca_file();
    use(provider);
    EXPECT_THAT(discovery().error().message, HasSubstr("certificate is refused"));
    options_.ca_file = authority.ca_file();
    for (const char* endpoint : {"authorization_endpoint", "token_endpoint", "jwks_uri"}) {
        const json::object good = provider.document;
        provider.document[endpoint] = "http://127.0.0.1:1/";
        use(provider);
        EXPECT_THAT(discovery().error().message, HasSubstr("no https:// URL, as the issuer's is")) << endpoint;
        provider.document[endpoint] = "javascript:alert(1)";
        use(provider);
        EXPECT_FALSE(discovery().ok()) << endpoint;
        provider.document = good;
    }
    use(provider);
    EXPECT_TRUE(discovery().ok());
}

}  // namespace
}  // namespace gantry::control
