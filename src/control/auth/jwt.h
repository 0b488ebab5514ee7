#pragma once
// Signed tokens (RFC 7515), verified with the public keys of a provider. RS256 and ES256 only: "none" is no signature, and HS256
// would take a public key for a shared secret. Pure; threads: any.

#include <string>
#include <string_view>

#include "base/result.h"
#include "protocol/oidc/documents.h"

namespace gantry::control {

inline constexpr size_t kTokenBytesMax = 64 * 1024;

// A token taken apart; nothing of it is believed yet.
struct SignedToken {
    protocol::oidc::JwtHeader header;
    std::string payload;
    std::string signed_text;      // "header.payload", as it came
    std::string signature;
};
// kInvalidArgument: no such token, or an algorithm that is not taken.
Result<SignedToken> parse_token(std::string_view text);

// Whether the key is of the token's algorithm and made its signature.
bool signed_by(const SignedToken& token, const protocol::oidc::Jwk& key);

// base64url without padding (RFC 4648, 5); kInvalidArgument for anything else.
std::string to_base64url(std::string_view bytes);
Result<std::string> from_base64url(std::string_view text);

}  // namespace gantry::control
