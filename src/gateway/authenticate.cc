#include <sodium.h>

#include <algorithm>
#include <cctype>
#include <optional>
#include <string_view>

#include "base/ascii.h"
#include "gateway/api_key.h"
#include "gateway/gateway.h"

namespace gantry::gateway {
namespace {

// One text for every cause: which of them it was would help only somebody who guesses.
Error refused() {
    return Error{ErrorCode::kUnauthenticated,
                 "No valid API key or login came with this request. Send a key as 'Authorization: Bearer gtk_...', or log in "
                 "again.",
                 {},
                 "invalid_api_key"};
}

bool equal_digests(const std::string& a, const std::string& b) {
    return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

// The user, if it may act now.
const User* active_user(const AuthTable& table, const UserId& id) {
    const auto found = table.users.find(id);
    return found == table.users.end() || found->second.disabled ? nullptr : &found->second;
}

Principal principal_of(const User& user) {
    Principal principal;
    principal.user_id = user.id;
    principal.user_name = user.name;
    principal.role = user.role;
    return principal;
}

// Null where there is nothing to hold to.
std::shared_ptr<const Allowance> allowance_of(const User& user, const ApiKey* key) {
    const bool by_user = user.limits.any() || !user.models.empty();
    const bool by_key = key != nullptr && (key->limits.any() || !key->models.empty());
    if (!by_user && !by_key) return nullptr;
    Allowance allowance{.user = user.limits, .user_models = user.models};
    if (key != nullptr) {
        allowance.key = key->limits;
        allowance.key_models = key->models;
    }
    return std::make_shared<const Allowance>(std::move(allowance));
}

// Whoever a key stands for, while it does.
std::optional<Principal> by_row(const AuthTable& table, const ApiKey& key, WallTime now) {
    if (key.disabled || (key.expires_at.has_value() && *key.expires_at <= now)) return std::nullopt;
    const User* user = active_user(table, key.user_id);
    if (user == nullptr) return std::nullopt;
    Principal principal = principal_of(*user);
    principal.key_id = key.id;
    principal.scopes = key.scopes;
    principal.allowance = allowance_of(*user, &key);
    return principal;
}

// Takes the same steps, a digest and a comparison, whether the key is malformed, unknown, revoked or right.
std::optional<Principal> by_key(const AuthTable& table, std::string_view text, WallTime now) {
    static const std::string kNobodys(64, '-');
    const KeyParts parts = split_key(text);
    const std::string given = digest(parts.secret);
    const auto found = parts.valid() ? table.keys.find(std::string(parts.public_id)) : table.keys.end();
    const bool known = found != table.keys.end();
    const bool equal = equal_digests(given, known ? found->second.secret_digest : kNobodys);
    if (!known || !equal) return std::nullopt;
    const ApiKey& key = found->second;
    return by_row(table, key, now);
}

std::optional<Principal> by_session(const AuthTable& table, std::string_view token, WallTime now) {
    constexpr size_t kTokenBytesMax = 256;
    if (token.empty() || token.size() > kTokenBytesMax) return std::nullopt;
    const std::string given = digest(token);
    const auto found = table.sessions.find(given);
    if (found == table.sessions.end() || !equal_digests(given, found->second.token_digest)) return std::nullopt;
    if (found->second.expires_at <= now) return std::nullopt;
    const User* user = active_user(table, found->second.user_id);
    if (user == nullptr) return std::nullopt;
    Principal principal = principal_of(*user);
    principal.by_cookie = true;
    // Only a person at the console can change a password; keys go on working meanwhile.
    principal.must_change_password = user->must_change_password;
    principal.allowance = allowance_of(*user, nullptr);
    return principal;
}

// The session's token; empty when there is none, or several that differ (somebody planted one).
std::string_view session_token(const http::Headers& headers) {
    std::string_view token;
    for (const auto& [name, value] : headers) {
        if (!equal_without_case(name, "cookie")) continue;
        std::string_view rest = value;
        while (!rest.empty()) {
            const size_t end = std::min(rest.find(';'), rest.size());
            std::string_view pair = rest.substr(0, end);
            rest.remove_prefix(std::min(end + 1, rest.size()));
            while (!pair.empty() && pair.front() == ' ') pair.remove_prefix(1);
            const size_t equals = pair.find('=');
            if (equals == std::string_view::npos || pair.substr(0, equals) != kSessionCookie) continue;
            const std::string_view found = pair.substr(equals + 1);
            if (!token.empty() && token != found) return {};
            token = found;
        }
    }
    return token;
}

// Whoever reaches the admin socket owns the data folder: it acts as the oldest enabled admin.
const User* first_admin(const AuthTable& table) {
    const User* first = nullptr;
    for (const auto& [id, user] : table.users) {
        if (user.disabled || user.role != Role::kAdmin) continue;
        const bool older = first == nullptr || user.created_at < first->created_at ||
                           (user.created_at == first->created_at && user.id < first->id);
        if (older) first = &user;
    }
    return first;
}

std::optional<Principal> named(const AuthTable& table, std::string_view text, WallTime now) {
    const size_t slash = text.find('/');
    const UserId user_id{std::string(text.substr(0, slash))};
    std::optional<Principal> principal;
    if (slash == std::string_view::npos) {
        const User* user = active_user(table, user_id);
        if (user == nullptr) return std::nullopt;
        principal = principal_of(*user);
        principal->allowance = allowance_of(*user, nullptr);
    } else {
        const ApiKeyId key_id{std::string(text.substr(slash + 1))};
        const auto found = std::find_if(table.keys.begin(), table.keys.end(), [&](const auto& key) { return key.second.id == key_id; });
        if (found == table.keys.end() || found->second.user_id != user_id) return std::nullopt;
        principal = by_row(table, found->second, now);
    }
    if (principal) principal->scopes.management = false;
    return principal;
}

}  // namespace

Result<Principal> authenticate(const AuthTable& table, const http::Request& request, WallTime now) {
    if (request.listener == "admin") {
        if (request.headers.count(kActsFor) > 0) {
            std::optional<Principal> principal = named(table, request.headers.get(kActsFor), now);
            if (!principal) return refused();
            return *std::move(principal);
        }
        const User* admin = first_admin(table);
        if (admin == nullptr) return refused();
        return principal_of(*admin);
    }
    const size_t bearers = request.headers.count("authorization");
    const size_t plain = request.headers.count("x-api-key");
    if (bearers > 1 || plain > 1) return refused();
    std::optional<Principal> principal;
    if (bearers == 1) {
        // A header that is there must be right: no falling back to another credential.
        constexpr std::string_view kScheme = "bearer ";
        const std::string_view value = request.headers.get("authorization");
        const bool bearer = value.size() > kScheme.size() && equal_without_case(value.substr(0, kScheme.size()), kScheme);
        const std::string_view key = bearer ? value.substr(kScheme.size()) : std::string_view();
        if (plain == 1 && request.headers.get("x-api-key") != key) return refused();
        principal = by_key(table, key, now);
    } else if (plain == 1) {
        principal = by_key(table, request.headers.get("x-api-key"), now);
    } else {
        principal = by_session(table, session_token(request.headers), now);
    }
    if (!principal) return refused();
    return *std::move(principal);
}

}  // namespace gantry::gateway
