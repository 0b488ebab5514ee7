#pragma once
// What an OpenID Connect provider says, as values: its discovery document, its keys, the parts of an ID token. Nothing here is
// believed yet: control/auth/ checks signatures and claims. Bounded as all JSON is (base/json.h).

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace gantry::protocol::oidc {

struct Discovery {
    std::string issuer;
    std::string authorization_endpoint;
    std::string token_endpoint;
    std::string jwks_uri;
    bool secret_in_body = false;          // the provider takes the client's secret in the body only
};
Result<Discovery> parse_discovery(std::string_view body);

// A public key to verify signatures with, its numbers still base64url.
struct Jwk {
    std::string kid;
    std::string kty;                      // "RSA", "EC"
    std::string alg;                      // empty: not said
    std::string n, e;                     // RSA
    std::string crv, x, y;                // EC
};
inline constexpr size_t kJwksMax = 64;
// Those that are for signatures; kinds nobody knows are left out, keys over kJwksMax too.
Result<std::vector<Jwk>> parse_jwks(std::string_view body);

struct JwtHeader {
    std::string alg;
    std::string kid;                      // empty: none
    bool critical = false;                // names extensions that must be understood
};
Result<JwtHeader> parse_jwt_header(std::string_view text);

struct IdClaims {
    std::string iss, sub, azp, nonce;
    std::vector<std::string> aud;
    std::optional<int64_t> exp, iat, nbf; // seconds since 1970
    json::object all;
};
Result<IdClaims> parse_id_claims(std::string_view text);
// A claim's text; empty where it is none.
std::string text_claim(const IdClaims& claims, std::string_view name);
// A claim that is a list of texts, or one text.
std::vector<std::string> list_claim(const IdClaims& claims, std::string_view name);
bool true_claim(const IdClaims& claims, std::string_view name);

// The ID token of the answer to a code. An error answer becomes an Error with the provider's word for it ("invalid_grant").
Result<std::string> parse_token_answer(int status, std::string_view body);

// How GET /api/v1/auth/config says how people log in here. `login_url` empty: by password only.
std::string login_config_json(const std::string& login_url, const std::string& issuer);

}  // namespace gantry::protocol::oidc
