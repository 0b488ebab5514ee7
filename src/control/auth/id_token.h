#pragma once
// What an ID token says (OpenID Connect Core, 3.1.3.7), once its signature is known to be the provider's. Pure; threads: any.

#include <string>
#include <vector>

#include "base/clock.h"
#include "control/auth/oidc_options.h"
#include "domain/user.h"
#include "protocol/oidc/documents.h"

namespace gantry::control {

inline constexpr std::chrono::seconds kLeeway{60};             // of the two clocks
inline constexpr std::chrono::hours kIdTokenAgeMax{1};         // it was made for this login, just now

struct ExpectedToken {
    std::string issuer;
    std::string client_id;
    std::string nonce;
    WallTime now{};
};
// kUnauthenticated says which claim is wrong: for the log, not for whoever sent it.
Status check_claims(const protocol::oidc::IdClaims& claims, const ExpectedToken& expected);

// Who it is, as far as that matters here.
struct Person {
    Identity identity;
    std::string name;               // for the user's name; may be none that we take
    std::string email;              // empty: none, or not verified
    std::vector<std::string> groups;
};
Person person_of(const protocol::oidc::IdClaims& claims, const OidcOptions& options);
// Whether they may log in; kPermissionDenied says what is missing.
Status check_allowed(const Person& person, const OidcOptions& options);

}  // namespace gantry::control
