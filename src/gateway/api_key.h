#pragma once
// How API keys and session tokens look and are stored. A key is "gtk_<12 characters>_<32 characters>": the first part (the
// public id) finds the row, the second (the secret, 160 random bits) is known to its owner only. What is stored is the hex
// SHA-256 of the secret; with so many random bits it needs no stretching. Threads: any.

#include <string>
#include <string_view>

#include "base/ids.h"

namespace gantry::gateway {

inline constexpr std::string_view kKeyPrefix = "gtk_";
inline constexpr size_t kPublicIdLength = 12;
inline constexpr size_t kSecretLength = 32;
inline constexpr char kSessionCookie[] = "gantry_session";

struct NewKey {
    std::string text;           // shown once to its owner, never stored
    std::string public_id;      // 12 characters
    std::string secret_digest;  // what is stored
};
NewKey make_key(RandomSource& random);

// Hex SHA-256 of `secret`: of a key's secret, or of a whole session token.
std::string digest(std::string_view secret);

// The parts of a well-formed key text; empty parts when it is none.
struct KeyParts {
    std::string_view public_id;
    std::string_view secret;
    bool valid() const { return !public_id.empty(); }
};
KeyParts split_key(std::string_view text);

}  // namespace gantry::gateway
