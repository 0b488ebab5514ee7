#include "control/auth/id_token.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gantry::control {
namespace {

using protocol::oidc::IdClaims;
using testing::HasSubstr;

constexpr int64_t kNow = 1'800'000'000;

ExpectedToken expected() {
    return {"https://id.example", "gantry", "the-nonce", WallTime(std::chrono::seconds(kNow))};
}

IdClaims claims(const std::function<void(json::object&)>& change = {}) {
    json::object all{{"iss", "https://id.example"}, {"sub", "42"},     {"aud", "gantry"},
                     {"exp", kNow + 300},           {"iat", kNow - 5}, {"nonce", "the-nonce"}};
    if (change) change(all);
    auto parsed = protocol::oidc::parse_id_claims(json::serialize(all));
    EXPECT_TRUE(parsed.ok());
    return *parsed;
}

TEST(IdToken, ARightOneIsTaken) {
    EXPECT_TRUE(check_claims(claims(), expected()).ok());
    EXPECT_TRUE(check_claims(claims([](json::object& c) { c["aud"] = {"gantry"}; }), expected()).ok());
    EXPECT_TRUE(check_claims(claims([](json::object& c) { c["aud"] = {"other", "gantry"}; c["azp"] = "gantry"; }), expected()).ok());
}

struct Wrong {
    const char* what;
    std::function<void(json::object&)> change;
    const char* said;
};

TEST(IdToken, EachClaimIsLookedAt) {
    const std::vector<Wrong> cases = {
        {"issuer", [](json::object& c) { c["iss"] = "https://id.example/"; }, "another issuer"},
        {"no issuer", [](json::object& c) { c.erase("iss"); }, "another issuer"},
        {"audience", [](json::object& c) { c["aud"] = "other"; }, "another client"},
        {"a part of the audience", [](json::object& c) { c["aud"] = "gantry2"; }, "another client"},
        {"no audience", [](json::object& c) { c.erase("aud"); }, "another client"},
        {"audience of a wrong kind", [](json::object& c) { c["aud"] = json::object{{"gantry", 1}}; }, "another client"},
        {"several without azp", [](json::object& c) { c["aud"] = {"gantry", "other"}; }, "several clients"},
        {"azp", [](json::object& c) { c["azp"] = "other"; }, "made for another client"},
        {"expired", [](json::object& c) { c["exp"] = kNow - 60; }, "expired"},
        {"no exp", [](json::object& c) { c.erase("exp"); }, "expired"},
        {"exp as text", [](json::object& c) { c["exp"] = "1900000000"; }, "expired"},
        {"exp beyond all times", [](json::object& c) { c["exp"] = 1e300; }, "expired"},
        {"made in the future", [](json::object& c) { c["iat"] = kNow + 61; }, "time to come"},
        {"no iat", [](json::object& c) { c.erase("iat"); }, "time to come"},
        {"made long ago", [](json::object& c) { c["iat"] = kNow - 3601; }, "not made for this login"},
        {"not yet valid", [](json::object& c) { c["nbf"] = kNow + 61; }, "not valid yet"},
        {"nonce", [](json::object& c) { c["nonce"] = "another-one"; }, "another login"},
        {"no nonce", [](json::object& c) { c.erase("nonce"); }, "another login"},
        {"subject", [](json::object& c) { c["sub"] = ""; }, "nobody"},
        {"a long subject", [](json::object& c) { c["sub"] = std::string(256, 'x'); }, "nobody"},
        {"a subject that is no text", [](json::object& c) { c["sub"] = 42; }, "nobody"},
    };
    for (const Wrong& one : cases) {
        const Status checked = check_claims(claims(one.change), expected());
        ASSERT_FALSE(checked.ok()) << one.what;
        EXPECT_THAT(checked.error().message, HasSubstr(one.said)) << one.what;
    }
    ExpectedToken none = expected();
    none.nonce.clear();
    EXPECT_FALSE(check_claims(claims([](json::object& c) { c["nonce"] = ""; }), none).ok()) << "no nonce is none that fits";
}

TEST(IdToken, ClocksMayDifferByAMinute) {
    EXPECT_TRUE(check_claims(claims([](json::object& c) { c["exp"] = kNow - 59; }), expected()).ok());
    EXPECT_TRUE(check_claims(claims([](json::object& c) { c["iat"] = kNow + 60; }), expected()).ok());
    EXPECT_TRUE(check_claims(claims([](json::object& c) { c["nbf"] = kNow + 60; }), expected()).ok());
}

TEST(IdToken, OnlyAVerifiedAddressCounts) {
    OidcOptions options;
    options.allowed_domains = {"Example.com"};
    const auto person = [&](const char* email, json::value verified) {
        return person_of(claims([&](json::object& c) { c["email"] = email; c["email_verified"] = std::move(verified); }), options);
    };
    EXPECT_TRUE(check_allowed(person("ann@example.COM", true), options).ok());
    EXPECT_EQ(person("ann@example.com", true).name, "ann@example.com") << "where no name is given";
    EXPECT_FALSE(check_allowed(person("ann@example.com", false), options).ok());
    EXPECT_FALSE(check_allowed(person("ann@example.com", "true"), options).ok());
    EXPECT_FALSE(check_allowed(person("ann@example.com.evil.org", true), options).ok());
    EXPECT_FALSE(check_allowed(person("ann@notexample.com", true), options).ok());
    EXPECT_FALSE(check_allowed(person("example.com", true), options).ok());
    EXPECT_EQ(person("ann@example.com", false).name, "");
    options.name_claim = "email";
    EXPECT_EQ(person("ann@example.com", true).name, "ann@example.com");
    EXPECT_EQ(person("ann@example.com", false).name, "") << "it may be another's";
}

TEST(IdToken, GroupsAreAListOrOneWord) {
    OidcOptions options;
    options.allowed_groups = {"ml"};
    EXPECT_TRUE(check_allowed(person_of(claims([](json::object& c) { c["groups"] = {"x", "ml"}; }), options), options).ok());
    EXPECT_TRUE(check_allowed(person_of(claims([](json::object& c) { c["groups"] = "ml"; }), options), options).ok());
    EXPECT_FALSE(check_allowed(person_of(claims([](json::object& c) { c["groups"] = "x,ml"; }), options), options).ok());
    EXPECT_FALSE(check_allowed(person_of(claims(), options), options).ok());
    EXPECT_FALSE(check_allowed(person_of(claims(), OidcOptions{}), OidcOptions{}).ok()) << "nobody is meant by nothing";
}

}  // namespace
}  // namespace gantry::control
