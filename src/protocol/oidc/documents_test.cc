#include "protocol/oidc/documents.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gantry::protocol::oidc {
namespace {

using testing::HasSubstr;

json::object discovery_document() {
    return {{"issuer", "https://id.example"},
            {"authorization_endpoint", "https://id.example/authorize"},
            {"token_endpoint", "https://id.example/token"},
            {"jwks_uri", "https://id.example/jwks"}};
}

TEST(OidcDocuments, DiscoveryNeedsItsFourUrls) {
    const auto found = parse_discovery(json::serialize(discovery_document()));
    ASSERT_TRUE(found.ok());
    EXPECT_EQ(found->issuer, "https://id.example");
    EXPECT_EQ(found->jwks_uri, "https://id.example/jwks");
    for (const char* name : {"issuer", "authorization_endpoint", "token_endpoint", "jwks_uri"}) {
        json::object without = discovery_document();
        without.erase(name);
        EXPECT_THAT(parse_discovery(json::serialize(without)).error().message, HasSubstr(std::string("names no ") + name));
        json::object number = discovery_document();
        number[name] = 1;
        EXPECT_FALSE(parse_discovery(json::serialize(number)).ok()) << name;
        json::object huge = discovery_document();
        huge[name] = "https://id.example/" + std::string(5000, 'x');
        EXPECT_FALSE(parse_discovery(json::serialize(huge)).ok()) << name;
    }
    for (const char* bad : {"", "[]", "<html>", "null", "{"}) EXPECT_FALSE(parse_discovery(bad).ok()) << bad;
}

TEST(OidcDocuments, TheSecretGoesInTheHeadUnlessOnlyTheBodyIsTaken) {
    const auto in_body = [](json::value methods) {
        json::object document = discovery_document();
        if (!methods.is_null()) document["token_endpoint_auth_methods_supported"] = std::move(methods);
        return parse_discovery(json::serialize(document))->secret_in_body;
    };
    EXPECT_FALSE(in_body(nullptr)) << "not said: in the head";
    EXPECT_FALSE(in_body({"client_secret_post", "client_secret_basic"}));
    EXPECT_TRUE(in_body({"client_secret_post", "private_key_jwt"}));
}

TEST(OidcDocuments, KeysForOtherUsesAndOfOtherKindsAreLeftOut) {
    const auto keys = parse_jwks(R"({"keys":[{"kty":"RSA","kid":"a","n":"AQ","e":"AQAB"},{"kty":"RSA","kid":"b","use":"enc"},
        {"kty":"oct","kid":"c","k":"AAAA"},{"kty":"EC","kid":"d","use":"sig","crv":"P-256","x":"AA","y":"AA"},{"kty":"OKP","kid":"e"},17,{}]})");
    ASSERT_TRUE(keys.ok());
    ASSERT_EQ(keys->size(), 2u) << "a shared secret among them would be one that everybody knows";
    EXPECT_EQ(keys->at(0).kid, "a");
    EXPECT_EQ(keys->at(1).kid, "d");
    json::array many(kJwksMax + 10, json::object{{"kty", "RSA"}});
    EXPECT_EQ(parse_jwks(json::serialize(json::object{{"keys", std::move(many)}}))->size(), kJwksMax);
    for (const char* bad : {"", "[]", "{}", R"({"keys":{}})"}) EXPECT_FALSE(parse_jwks(bad).ok()) << bad;
}

TEST(OidcDocuments, AnAnswerWithoutATokenSaysWhy) {
    EXPECT_EQ(*parse_token_answer(200, R"({"access_token":"x","id_token":"a.b.c"})"), "a.b.c");
    EXPECT_THAT(parse_token_answer(200, R"({"access_token":"x"})").error().message, HasSubstr("\"openid\""));
    EXPECT_FALSE(parse_token_answer(200, R"({"id_token":["a.b.c"]})").ok());
    EXPECT_FALSE(parse_token_answer(200, "<html>").ok());
    const auto refused = parse_token_answer(400, R"({"error":"invalid_grant"})");
    EXPECT_EQ(refused.error().code, ErrorCode::kUnauthenticated);
    EXPECT_EQ(refused.error().reason, "oidc_refused");
    EXPECT_THAT(refused.error().message, HasSubstr("invalid_grant"));
    const auto strange = parse_token_answer(400, R"({"error":"<script>\n\u001b[31m)" + std::string(500, 'x') + "\"}");
    EXPECT_THAT(strange.error().message, testing::Not(testing::ContainsRegex("[<\n\x1b]")));
    EXPECT_LT(strange.error().message.size(), 120u);
    for (const int status : {302, 404, 500, 503}) {
        EXPECT_EQ(parse_token_answer(status, "{}").error().code, ErrorCode::kUnavailable) << status;
    }
    EXPECT_EQ(parse_token_answer(500, R"({"error":"invalid_grant"})").error().code, ErrorCode::kUnavailable);
}

TEST(OidcDocuments, AClaimIsOfItsKindOrNone) {
    const auto claims = parse_id_claims(R"({"name":"ann","groups":["a",1,"b"],"one":"c","email_verified":true,"text":"true","exp":1.5,"iat":"5"})");
    ASSERT_TRUE(claims.ok());
    EXPECT_EQ(text_claim(*claims, "name"), "ann");
    EXPECT_EQ(text_claim(*claims, "groups"), "");
    EXPECT_EQ(text_claim(*claims, "none"), "");
    EXPECT_THAT(list_claim(*claims, "groups"), testing::ElementsAre("a", "b"));
    EXPECT_THAT(list_claim(*claims, "one"), testing::ElementsAre("c"));
    EXPECT_TRUE(true_claim(*claims, "email_verified"));
    EXPECT_FALSE(true_claim(*claims, "text"));
    EXPECT_EQ(claims->exp, 1);
    EXPECT_EQ(claims->iat, std::nullopt);
    EXPECT_FALSE(parse_id_claims("[]").ok());
}

}  // namespace
}  // namespace gantry::protocol::oidc
