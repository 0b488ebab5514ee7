// Tokens that are signed rightly, and all the ways in which they are not.
#include "control/auth/jwt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/hmac.h>

#include "control/auth/jwt_test_support.h"

namespace gantry::control {
namespace {

using protocol::oidc::Jwk;
using testing::HasSubstr;

bool good(const std::string& text, const Jwk& key) {
    const auto token = parse_token(text);
    return token.ok() && signed_by(*token, key);
}
std::string refusal(const std::string& text) {
    const auto token = parse_token(text);
    return token.ok() ? "" : token.error().message;
}

constexpr char kRs256[] = R"({"alg":"RS256","kid":"a"})";
constexpr char kEs256[] = R"({"alg":"ES256","kid":"a"})";

TEST(Jwt, RightSignaturesAreTaken) {
    const Signer rsa = Signer::rsa();
    const Signer ec = Signer::ec();
    EXPECT_TRUE(good(rsa.token(kRs256), rsa.jwk("a")));
    EXPECT_TRUE(good(ec.token(kEs256), ec.jwk("a")));
    const auto token = parse_token(rsa.token(kRs256));
    ASSERT_TRUE(token.ok());
    EXPECT_EQ(token->payload, R"({"sub":"ann"})");
    EXPECT_EQ(token->header.kid, "a");
}

TEST(Jwt, AnotherKeyTextOrSignatureIsRefused) {
    for (const bool is_rsa : {true, false}) {
        const Signer signer = is_rsa ? Signer::rsa() : Signer::ec();
        const Signer other = is_rsa ? Signer::rsa() : Signer::ec();
        const std::string header = is_rsa ? kRs256 : kEs256;
        const std::string token = signer.token(header);
        EXPECT_FALSE(good(token, other.jwk("a")));
        const std::string forged = to_base64url(header) + "." + to_base64url(R"({"sub":"eve"})") + token.substr(token.rfind('.'));
        EXPECT_FALSE(good(forged, signer.jwk("a")));
        EXPECT_FALSE(good(token.substr(0, token.rfind('.') + 1), signer.jwk("a"))) << "no signature at all";
        EXPECT_FALSE(good(token.substr(0, token.size() - 8), signer.jwk("a"))) << "a cut one";
        const std::string zeros = token.substr(0, token.rfind('.') + 1) + to_base64url(std::string(64, '\0'));
        EXPECT_FALSE(good(zeros, signer.jwk("a"))) << "r = s = 0 (CVE-2022-21449)";
    }
}

TEST(Jwt, AlgorithmsThatProveNothingAreRefused) {
    const Signer rsa = Signer::rsa();
    for (const char* alg : {"none", "None", "nOnE", "HS256", "HS512", "RS1", "PS256", "ES512", "", "rs256"}) {
        const std::string token = rsa.token(std::string(R"({"alg":")") + alg + R"(","kid":"a"})");
        EXPECT_THAT(refusal(token), HasSubstr("neither RS256 nor ES256")) << alg;
    }
    EXPECT_THAT(refusal(rsa.token(R"({"kid":"a"})")), HasSubstr("neither RS256 nor ES256"));
    EXPECT_THAT(refusal(rsa.token(R"({"alg":["RS256"]})")), HasSubstr("neither RS256 nor ES256"));
    EXPECT_THAT(refusal(rsa.token(R"({"alg":"RS256","crit":["b64"],"b64":false})")), HasSubstr("extensions"));
}

TEST(Jwt, APublicKeyIsNoSharedSecret) {
    const Signer rsa = Signer::rsa();
    const Jwk key = rsa.jwk("a");
    const std::string text = to_base64url(R"({"alg":"RS256","kid":"a"})") + "." + to_base64url(R"({"sub":"eve"})");
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    HMAC(EVP_sha256(), key.n.data(), static_cast<int>(key.n.size()), reinterpret_cast<const unsigned char*>(text.data()), text.size(), mac, &size);
    EXPECT_FALSE(good(text + "." + to_base64url({reinterpret_cast<const char*>(mac), size}), key));
}

TEST(Jwt, KeysOfAnotherKindOrStrengthVerifyNothing) {
    const Signer rsa = Signer::rsa();
    const Signer ec = Signer::ec();
    Jwk other_alg = rsa.jwk("a");
    other_alg.alg = "RS512";
    EXPECT_FALSE(good(rsa.token(kRs256), other_alg));
    EXPECT_FALSE(good(rsa.token(kRs256), ec.jwk("a")));
    EXPECT_FALSE(good(ec.token(kEs256), rsa.jwk("a")));
    const Signer weak = Signer::rsa(1024);
    EXPECT_FALSE(good(weak.token(kRs256), weak.jwk("a")));
    Jwk curve = ec.jwk("a");
    curve.crv = "secp256k1";
    EXPECT_FALSE(good(ec.token(kEs256), curve));
    Jwk off = ec.jwk("a");
    off.y = off.x;   // a point that is not on the curve
    EXPECT_FALSE(good(ec.token(kEs256), off));
    Jwk huge = rsa.jwk("a");
    huge.n = to_base64url(std::string(100'000, '\xff'));
    EXPECT_FALSE(good(rsa.token(kRs256), huge));
    EXPECT_FALSE(good(rsa.token(kRs256), Jwk{.kid = "a", .kty = "RSA", .alg = "", .n = "", .e = "", .crv = "", .x = "", .y = ""}));
}

TEST(Jwt, WhatIsNoTokenIsRefused) {
    const Signer rsa = Signer::rsa();
    const std::string token = rsa.token(kRs256);
    for (const std::string& bad : {std::string(), std::string("."), std::string(".."), std::string("a.b"), token + ".x", "=" + token, token + "=",
                                   " " + token, token + "\n", std::string("e30.e30.e30.e30"), to_base64url("[]") + ".e30.AA",
                                   to_base64url("{\"alg\":") + ".e30.AA", std::string(70'000, 'a')}) {
        EXPECT_NE(refusal(bad), "") << bad.substr(0, 80);
    }
    EXPECT_FALSE(from_base64url("ab+/").ok());
    EXPECT_FALSE(from_base64url("abd").ok()) << "bits that stand for nothing";
    EXPECT_EQ(*from_base64url(to_base64url(std::string("\0\xff\x10", 3))), std::string("\0\xff\x10", 3));
}

}  // namespace
}  // namespace gantry::control
