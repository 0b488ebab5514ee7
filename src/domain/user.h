#pragma once
// People, their keys and their sessions; and the principal: who a request comes from.

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"

namespace gantry {

enum class Role { kUser, kAdmin };  // "user", "admin"
inline const char* to_string(Role role) { return role == Role::kAdmin ? "admin" : "user"; }
inline std::optional<Role> role_from(const std::string& text) {
    if (text == "admin") return Role::kAdmin;
    if (text == "user") return Role::kUser;
    return std::nullopt;
}

struct User {
    UserId id;
    std::string name;               // unique, 1..64 of [A-Za-z0-9._@-]
    Role role = Role::kUser;
    std::string password_hash;      // argon2id, never shown
    bool must_change_password = false;
    bool disabled = false;
    int64_t version = 1;
    WallTime created_at{};
    WallTime updated_at{};
};

// An API key is "gtk_<public id>_<secret>". The public id finds the row; the digest of the secret is compared in constant time.
struct ApiKey {
    ApiKeyId id;
    UserId user_id;
    std::string name;
    std::string public_id;          // 12 characters
    std::string secret_digest;      // hex SHA-256 of the secret (which is 160 random bits: no stretching needed)
    std::optional<WallTime> expires_at;
    bool disabled = false;
    int64_t version = 1;
    WallTime created_at{};
};

// A console login. The cookie holds a random token; the row its digest.
struct Session {
    std::string token_digest;
    UserId user_id;
    WallTime created_at{};
    WallTime expires_at{};
};

// Who a request comes from, as authentication found out.
struct Principal {
    UserId user_id;
    std::string user_name;
    Role role = Role::kUser;
    ApiKeyId key_id;                // empty: session or admin socket
    bool must_change_password = false;
    bool by_cookie = false;         // then state-changing requests need a same-site origin
};

}  // namespace gantry
