#include "protocol/oidc/documents.h"

#include <cmath>

namespace gantry::protocol::oidc {
namespace {

constexpr size_t kTextBytesMax = 4096;         // of a URL, a name, a key's number
constexpr size_t kListMax = 1024;              // groups of a person
constexpr size_t kErrorWordMax = 64;
constexpr double kSecondsMax = 1e12;

Result<json::object> object_of(std::string_view body, const char* what) {
    auto value = parse_json(body);
    if (value && value->is_object()) return std::move(value->get_object());
    return invalid_argument(std::string("the provider's ") + what + " is no JSON object");
}

std::string text_at(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    if (value == nullptr || !value->is_string() || value->get_string().size() > kTextBytesMax) return {};
    return std::string(value->get_string());
}

std::vector<std::string> list_at(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    if (value == nullptr) return {};
    if (value->is_string()) return {text_at(object, key)};
    std::vector<std::string> list;
    if (!value->is_array()) return list;
    for (const json::value& item : value->get_array()) {
        if (!item.is_string() || list.size() >= kListMax) continue;
        list.emplace_back(item.get_string());
    }
    return list;
}

std::optional<int64_t> seconds_at(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    if (value == nullptr || !value->is_number()) return std::nullopt;
    const double seconds = value->to_number<double>();
    if (!std::isfinite(seconds) || std::abs(seconds) > kSecondsMax) return std::nullopt;
    return static_cast<int64_t>(std::floor(seconds));
}

bool has(const std::vector<std::string>& list, std::string_view word) {
    return std::find(list.begin(), list.end(), word) != list.end();
}

// A word of the protocol, fit for a log and an answer.
std::string word(const std::string& text) {
    std::string out;
    for (const char c : text.substr(0, kErrorWordMax)) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
        out.push_back(plain ? c : '?');
    }
    return out;
}

}  // namespace

Result<Discovery> parse_discovery(std::string_view body) {
    const auto object = object_of(body, "discovery document");
    if (!object) return object.error();
    Discovery found;
    found.issuer = text_at(*object, "issuer");
    found.authorization_endpoint = text_at(*object, "authorization_endpoint");
    found.token_endpoint = text_at(*object, "token_endpoint");
    found.jwks_uri = text_at(*object, "jwks_uri");
    for (const auto& [name, value] : {std::pair{"issuer", &found.issuer}, std::pair{"authorization_endpoint", &found.authorization_endpoint},
                                      std::pair{"token_endpoint", &found.token_endpoint}, std::pair{"jwks_uri", &found.jwks_uri}}) {
        if (value->empty()) return invalid_argument(std::string("the provider's discovery document names no ") + name);
    }
    // Not said means client_secret_basic (OpenID Connect Discovery, 3).
    const auto methods = list_at(*object, "token_endpoint_auth_methods_supported");
    found.secret_in_body = has(methods, "client_secret_post") && !has(methods, "client_secret_basic");
    return found;
}

Result<std::vector<Jwk>> parse_jwks(std::string_view body) {
    const auto object = object_of(body, "set of keys");
    if (!object) return object.error();
    const json::value* list = object->if_contains("keys");
    if (list == nullptr || !list->is_array()) return invalid_argument("the provider's set of keys has no \"keys\"");
    std::vector<Jwk> keys;
    for (const json::value& item : list->get_array()) {
        if (!item.is_object() || keys.size() >= kJwksMax) continue;
        const json::object& key = item.get_object();
        const std::string use = text_at(key, "use");
        if (!use.empty() && use != "sig") continue;
        Jwk one{text_at(key, "kid"), text_at(key, "kty"), text_at(key, "alg"), text_at(key, "n"), text_at(key, "e"),
                text_at(key, "crv"), text_at(key, "x"), text_at(key, "y")};
        if (one.kty == "RSA" || one.kty == "EC") keys.push_back(std::move(one));
    }
    return keys;
}

Result<JwtHeader> parse_jwt_header(std::string_view text) {
    const auto object = object_of(text, "token's header");
    if (!object) return object.error();
    return JwtHeader{text_at(*object, "alg"), text_at(*object, "kid"), object->contains("crit")};
}

Result<IdClaims> parse_id_claims(std::string_view text) {
    auto object = object_of(text, "ID token");
    if (!object) return object.error();
    IdClaims claims;
    claims.iss = text_at(*object, "iss");
    claims.sub = text_at(*object, "sub");
    claims.azp = text_at(*object, "azp");
    claims.nonce = text_at(*object, "nonce");
    claims.aud = list_at(*object, "aud");
    claims.exp = seconds_at(*object, "exp");
    claims.iat = seconds_at(*object, "iat");
    claims.nbf = seconds_at(*object, "nbf");
    claims.all = *std::move(object);
    return claims;
}

std::string text_claim(const IdClaims& claims, std::string_view name) { return text_at(claims.all, name); }
std::vector<std::string> list_claim(const IdClaims& claims, std::string_view name) { return list_at(claims.all, name); }

bool true_claim(const IdClaims& claims, std::string_view name) {
    const json::value* value = claims.all.if_contains(name);
    return value != nullptr && value->is_bool() && value->get_bool();
}

Result<std::string> parse_token_answer(int status, std::string_view body) {
    const auto object = object_of(body, "answer");
    if (status != 200) {
        const std::string said = object ? word(text_at(*object, "error")) : "";
        if (status >= 500 || said.empty()) return unavailable("the provider answered with status " + std::to_string(status));
        return Error{ErrorCode::kUnauthenticated, "the provider refused the login: " + said, {}, "oidc_refused"};
    }
    if (!object) return object.error();
    const json::value* token = object->if_contains("id_token");
    if (token == nullptr || !token->is_string()) return invalid_argument("the provider's answer holds no ID token: is \"openid\" among the scopes?");
    return std::string(token->get_string());
}

std::string login_config_json(const std::string& login_url, const std::string& issuer) {
    json::value oidc;
    if (!login_url.empty()) oidc = json::object{{"login_url", login_url}, {"issuer", issuer}};
    return json::serialize(json::object{{"password", true}, {"oidc", std::move(oidc)}});
}

}  // namespace gantry::protocol::oidc
