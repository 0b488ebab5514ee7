#include "control/auth/oidc_attempt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/auth/oidc_provider.h"

namespace gantry::control {
namespace {

class Attempts : public testing::Test {
protected:
    // As the browser comes back: with the cookie it was given and the state it was sent.
    std::optional<OidcAttempt> back(const std::string& set_cookie, const std::string& state) const {
        http::Request request;
        request.headers.add("cookie", "other=1; " + set_cookie.substr(0, set_cookie.find(';')));
        request.query["state"] = state;
        return attempts_.resume(request);
    }
    FakeClock clock_;
    std::unique_ptr<RandomSource> random_ = seeded_random(7);
    OidcAttempts attempts_{*random_, clock_};
};

TEST_F(Attempts, ComeBackAsTheyWent) {
    const OidcAttempt begun = attempts_.begin("/models?x=1");
    const auto resumed = back(OidcAttempts::cookie(begun, false), begun.state);
    ASSERT_TRUE(resumed.has_value());
    EXPECT_EQ(resumed->next, "/models?x=1");
    EXPECT_EQ(resumed->nonce, begun.nonce);
    EXPECT_EQ(resumed->verifier, begun.verifier);
    EXPECT_EQ(begun.verifier.size(), 43u) << "as RFC 7636 wants";
    EXPECT_EQ(begun.challenge().size(), 43u);
    EXPECT_THAT(OidcAttempts::cookie(begun, true), testing::HasSubstr("; HttpOnly; SameSite=Lax; Max-Age=600; Secure"));
}

TEST_F(Attempts, AreOfOneBrowser) {
    const OidcAttempt mine = attempts_.begin("/");
    const OidcAttempt theirs = attempts_.begin("/");
    EXPECT_NE(mine.state, theirs.state);
    EXPECT_FALSE(back(OidcAttempts::cookie(mine, false), theirs.state).has_value());
    EXPECT_FALSE(back("x=y", mine.state).has_value()) << "no cookie";
    EXPECT_FALSE(back(OidcAttempts::cookie(mine, false), "").has_value());
    EXPECT_FALSE(back(OidcAttempts::cookie(mine, false), mine.state.substr(0, 8)).has_value()) << "the part that the cookie's name tells";
    const OidcAttempts other_process{*random_, clock_};
    http::Request request;
    request.headers.add("cookie", OidcAttempts::cookie(mine, false));
    request.query["state"] = mine.state;
    EXPECT_FALSE(other_process.resume(request).has_value());
}

TEST_F(Attempts, CannotBeChangedOnTheWay) {
    const OidcAttempt begun = attempts_.begin("/a");
    const std::string cookie = OidcAttempts::cookie(begun, false);
    const std::string name = cookie.substr(0, cookie.find('=') + 1);
    const std::string elsewhere = attempts_.begin("/b").cookie;
    const std::string swapped = begun.cookie.substr(0, begun.cookie.rfind('.')) + elsewhere.substr(elsewhere.rfind('.'));
    EXPECT_FALSE(back(name + swapped, begun.state).has_value());
    std::string later = begun.cookie;
    later[later.find('.') + 1] = '9';
    EXPECT_FALSE(back(name + later, begun.state).has_value());
}

TEST_F(Attempts, OfABrowserThatNeverComesBackEndWhenThereAreEight) {
    http::Request request;
    std::string carried = "gantry_session=x; gantry_oidc_short=y; gantry_oidc_<b>45678=z";
    std::vector<std::string> names;
    for (size_t i = 0; i < kAttemptsMax; ++i) {
        EXPECT_TRUE(OidcAttempts::surplus(request).empty()) << i;
        const std::string cookie = OidcAttempts::cookie(attempts_.begin("/"), false);
        names.push_back(cookie.substr(0, cookie.find('=') + 1) + "; ");
        carried.append("; ").append(cookie.substr(0, cookie.find(';')));
        request.headers.set("cookie", carried);
    }
    const std::vector<std::string> ended = OidcAttempts::surplus(request);
    ASSERT_EQ(ended.size(), names.size());
    for (size_t i = 0; i < names.size(); ++i) {
        EXPECT_THAT(ended[i], testing::StartsWith(names[i]));
        EXPECT_THAT(ended[i], testing::HasSubstr("; Max-Age=0"));
    }
}

TEST_F(Attempts, EndAfterTenMinutes) {
    const OidcAttempt begun = attempts_.begin("/");
    clock_.advance(std::chrono::minutes(10));
    EXPECT_TRUE(back(OidcAttempts::cookie(begun, false), begun.state).has_value());
    clock_.advance(std::chrono::seconds(1));
    EXPECT_FALSE(back(OidcAttempts::cookie(begun, false), begun.state).has_value());
    EXPECT_THAT(OidcAttempts::ended_cookie(begun, false), testing::HasSubstr("=; Path=/api/v1/auth/oidc; HttpOnly; SameSite=Lax; Max-Age=0"));
}

TEST_F(Attempts, OfATimeToComeAreNone) {
    const OidcAttempt begun = attempts_.begin("/");
    clock_.set_wall(clock_.wall() - std::chrono::seconds(2));   // this machine's clock was set back
    EXPECT_FALSE(back(OidcAttempts::cookie(begun, false), begun.state).has_value());
}

TEST(LocalPath, NeverLeadsAway) {
    for (const char* good : {"/", "/models", "/a/b?x=%2F%2Fy#z", "/a//b"}) EXPECT_TRUE(is_local_path(good)) << good;
    for (const std::string& bad : {std::string(), std::string("models"), std::string("//evil.example"), std::string("/\\evil.example"),
                                   std::string("/a\\b"), std::string("https://evil.example"), std::string("/a b"), std::string("/\t/evil.example"),
                                   std::string("/\n"), std::string("/\r\nset-cookie: x=y"), std::string("/\xc3\xa4"), std::string("/\0x", 3),
                                   "/" + std::string(600, 'x')}) {
        EXPECT_FALSE(is_local_path(bad)) << bad;
    }
}

TEST(OidcUrl, PlainHttpStaysOnThisMachine) {
    EXPECT_EQ(parse_oidc_url("https://id.example/realms/x")->endpoint, "tls:id.example:443");
    EXPECT_EQ(parse_oidc_url("https://id.example/realms/x?a=b")->target, "/realms/x?a=b");
    EXPECT_EQ(parse_oidc_url("https://id.example")->target, "/");
    EXPECT_EQ(parse_oidc_url("http://127.0.0.1:81/")->endpoint, "tcp:127.0.0.1:81");
    EXPECT_EQ(parse_oidc_url("http://[::1]:81/")->endpoint, "tcp:[::1]:81");
    for (const char* bad : {"http://id.example", "http://127.0.0.1.evil.example", "http://localhost.evil.example", "ftp://id.example",
                            "https://user@id.example", "https://id.example#x", "id.example", "", "https://"}) {
        EXPECT_FALSE(parse_oidc_url(bad).ok()) << bad;
    }
}

TEST(OidcOptions, SayWhoMayLogIn) {
    OidcOptions options;
    EXPECT_TRUE(check_oidc_options(options).ok()) << "off";
    options.issuer = "https://id.example";
    EXPECT_FALSE(check_oidc_options(options).ok());
    options.client_id = "gantry";
    EXPECT_THAT(check_oidc_options(options).error().message, testing::HasSubstr("who may log in"));
    options.allow_anyone = true;
    EXPECT_TRUE(check_oidc_options(options).ok());
    options.scopes = "profile";
    EXPECT_FALSE(check_oidc_options(options).ok());
}

}  // namespace
}  // namespace gantry::control
