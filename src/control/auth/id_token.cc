#include "control/auth/id_token.h"

#include <sodium.h>

#include <algorithm>
#include <cctype>

#include "base/ascii.h"

namespace gantry::control {
namespace {

using protocol::oidc::IdClaims;

constexpr size_t kSubjectBytesMax = 255;

Error wrong(std::string what) { return Error{ErrorCode::kUnauthenticated, std::move(what), {}, "oidc_token"}; }

bool same(const std::string& a, const std::string& b) {
    return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

bool has(const std::vector<std::string>& list, const std::string& word) {
    return std::find(list.begin(), list.end(), word) != list.end();
}

}  // namespace

Status check_claims(const IdClaims& claims, const ExpectedToken& expected) {
    const int64_t now = std::chrono::duration_cast<std::chrono::seconds>(expected.now.time_since_epoch()).count();
    const int64_t leeway = kLeeway.count();
    if (claims.iss != expected.issuer) return wrong("the token is of another issuer");
    if (!has(claims.aud, expected.client_id)) return wrong("the token is for another client");
    if (claims.aud.size() > 1 && claims.azp.empty()) return wrong("the token is for several clients and does not say for which it was made");
    if (!claims.azp.empty() && claims.azp != expected.client_id) return wrong("the token was made for another client");
    if (!claims.exp || *claims.exp + leeway <= now) return wrong("the token has expired");
    if (!claims.iat || *claims.iat - leeway > now) return wrong("the token is of a time to come: compare the two machines' clocks");
    if (*claims.iat + std::chrono::seconds(kIdTokenAgeMax).count() < now) return wrong("the token was not made for this login");
    if (claims.nbf && *claims.nbf - leeway > now) return wrong("the token is not valid yet: compare the two machines' clocks");
    if (expected.nonce.empty() || !same(claims.nonce, expected.nonce)) return wrong("the token is of another login (nonce)");
    if (claims.sub.empty() || claims.sub.size() > kSubjectBytesMax) return wrong("the token says of nobody who it is (sub)");
    return Ok{};
}

Person person_of(const IdClaims& claims, const OidcOptions& options) {
    Person person;
    person.identity = {claims.iss, claims.sub};
    if (protocol::oidc::true_claim(claims, "email_verified")) person.email = protocol::oidc::text_claim(claims, "email");
    // An address that nobody verified may be another's, and would pass for theirs in the audit log.
    person.name = options.name_claim == "email" ? person.email : protocol::oidc::text_claim(claims, options.name_claim);
    if (person.name.empty()) person.name = person.email;
    person.groups = protocol::oidc::list_claim(claims, options.groups_claim);
    return person;
}

Status check_allowed(const Person& person, const OidcOptions& options) {
    if (options.allow_anyone) return Ok{};
    for (const std::string& group : options.allowed_groups) {
        if (has(person.groups, group)) return Ok{};
    }
    const size_t at = person.email.rfind('@');
    if (at != std::string::npos) {
        for (const std::string& domain : options.allowed_domains) {
            if (equal_without_case(std::string_view(person.email).substr(at + 1), domain)) return Ok{};
        }
    }
    return Error{ErrorCode::kPermissionDenied,
                 "you are known to the provider, but not among those who may log in here: ask the administrator", {}, "oidc_not_allowed"};
}

}  // namespace gantry::control
