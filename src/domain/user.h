#pragma once
// People, their keys and their sessions; and the principal: who a request comes from, and how much it may use.

#include <algorithm>
#include <cstdint>
#include <memory>
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

// How much may be used of the inference API; absent: no limit. Of a key and its user each has its own, and both must hold.
// Tokens are those of prompts (cached ones too) and answers.
struct Limits {
    std::optional<uint64_t> requests_per_minute{};
    std::optional<uint64_t> tokens_per_minute{};
    std::optional<uint64_t> concurrent_requests{};
    std::optional<uint64_t> tokens_per_month{};   // of the calendar, in UTC
    bool any() const { return requests_per_minute || tokens_per_minute || concurrent_requests || tokens_per_month; }
    bool operator==(const Limits&) const = default;
};
inline constexpr uint64_t kLimitMax = 1'000'000'000;                    // of the first three
inline constexpr uint64_t kMonthLimitMax = 1'000'000'000'000'000;

// What a key opens; sessions open all. "inference": /v1; "management": /api/v1, /metrics.
struct Scopes {
    bool inference = true;
    bool management = true;
    bool all() const { return inference && management; }
    bool operator==(const Scopes&) const = default;
};

struct User {
    UserId id;
    std::string name;               // unique, 1..64 of [A-Za-z0-9._@-]
    Role role = Role::kUser;
    std::string password_hash;      // argon2id, never shown
    bool must_change_password = false;
    bool disabled = false;
    Limits limits{};                // over all keys and sessions together
    std::vector<std::string> models{};   // public names; empty: all
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
    Limits limits{};
    Scopes scopes{};
    std::vector<std::string> models{};   // public names; empty: all
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

// What a key and its user allow of the inference API, where that is less than everything.
struct Allowance {
    Limits key{};
    Limits user{};
    std::vector<std::string> key_models{};      // empty: all
    std::vector<std::string> user_models{};
    bool limited() const { return key.any() || user.any(); }
    bool allows(const std::string& model) const {
        const auto in = [&](const std::vector<std::string>& names) {
            return names.empty() || std::find(names.begin(), names.end(), model) != names.end();
        };
        return in(key_models) && in(user_models);
    }
};

// Who a request comes from, as authentication found out.
struct Principal {
    UserId user_id;
    std::string user_name;
    Role role = Role::kUser;
    ApiKeyId key_id;                // empty: session or admin socket
    bool must_change_password = false;
    bool by_cookie = false;         // then state-changing requests need a same-site origin
    Scopes scopes{};
    std::shared_ptr<const Allowance> allowance{};   // null: no limits, all models. Shared: copies of a principal are many
};

}  // namespace gantry
