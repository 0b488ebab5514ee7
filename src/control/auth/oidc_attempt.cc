#include "control/auth/oidc_attempt.h"

#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

#include "control/auth/jwt.h"
#include "control/auth/sessions.h"

namespace gantry::control {
namespace {

constexpr size_t kRandomLength = 32;       // 160 bits
constexpr size_t kNameLength = 8;          // of the state, in the cookie's name: attempts side by side don't disturb each other
constexpr size_t kCookieBytesMax = 2048;

constexpr std::string_view kNameStart = "gantry_oidc_";

std::string name_of(const std::string& state) { return std::string(kNameStart) + state.substr(0, kNameLength); }

bool is_attempts_name(std::string_view name) {
    if (name.size() != kNameStart.size() + kNameLength || !name.starts_with(kNameStart)) return false;
    return std::all_of(name.begin(), name.end(), [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-'; });
}

int64_t seconds(WallTime at) { return std::chrono::duration_cast<std::chrono::seconds>(at.time_since_epoch()).count(); }

std::string set_cookie(std::string_view name, const std::string& value, int64_t age, bool tls) {
    return fmt::format("{}={}; Path={}; HttpOnly; SameSite=Lax; Max-Age={}{}", name, value, kOidcPath, age, tls ? "; Secure" : "");
}

bool same(std::string_view a, std::string_view b) { return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0; }

}  // namespace

bool is_local_path(std::string_view next) {
    if (next.empty() || next.size() > kNextBytesMax || next.front() != '/' || next.starts_with("//")) return false;
    // Browsers read a backslash as a slash, and leave out what is no character.
    return std::all_of(next.begin(), next.end(), [](char c) { return c > ' ' && c < '\x7f' && c != '\\'; });
}

std::string OidcAttempt::challenge() const {
    std::array<unsigned char, crypto_hash_sha256_BYTES> hash{};
    crypto_hash_sha256(hash.data(), reinterpret_cast<const unsigned char*>(verifier.data()), verifier.size());
    return to_base64url({reinterpret_cast<const char*>(hash.data()), hash.size()});
}

OidcAttempts::OidcAttempts(RandomSource& random, const Clock& clock) : random_(random), clock_(clock), key_(random.token(64)) {}

std::string OidcAttempts::secret(const char* what, const std::string& cookie) const {
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, reinterpret_cast<const unsigned char*>(key_.data()), key_.size());
    const std::string text = std::string(what) + ":" + cookie;
    crypto_auth_hmacsha256_update(&state, reinterpret_cast<const unsigned char*>(text.data()), text.size());
    std::array<unsigned char, crypto_auth_hmacsha256_BYTES> mac{};
    crypto_auth_hmacsha256_final(&state, mac.data());
    return to_base64url({reinterpret_cast<const char*>(mac.data()), mac.size()});
}

OidcAttempt OidcAttempts::derive(std::string cookie, std::string next) const {
    OidcAttempt attempt;
    attempt.state = secret("state", cookie);
    attempt.nonce = secret("nonce", cookie);
    attempt.verifier = secret("verifier", cookie);
    attempt.cookie = std::move(cookie);
    attempt.next = std::move(next);
    return attempt;
}

OidcAttempt OidcAttempts::begin(const std::string& next) const {
    return derive(fmt::format("{}.{}.{}", random_.token(kRandomLength), seconds(clock_.wall()), to_base64url(next)), next);
}

std::optional<OidcAttempt> OidcAttempts::resume(const http::Request& request) const {
    const std::string state(request.query_value("state"));
    if (state.size() < kNameLength) return std::nullopt;
    const std::string cookie = cookie_value(request, name_of(state));
    const size_t first = cookie.find('.');
    const size_t second = first == std::string::npos ? first : cookie.find('.', first + 1);
    if (second == std::string::npos || cookie.size() > kCookieBytesMax) return std::nullopt;
    int64_t begun = 0;
    const auto [end, failed] = std::from_chars(cookie.data() + first + 1, cookie.data() + second, begun);
    const auto next = from_base64url(std::string_view(cookie).substr(second + 1));
    if (failed != std::errc{} || end != cookie.data() + second || !next || !is_local_path(*next)) return std::nullopt;
    OidcAttempt attempt = derive(cookie, *next);
    // The state is a code over the whole cookie: who could not read it can't have made it, nor changed what stands in it.
    if (!same(attempt.state, state)) return std::nullopt;
    const int64_t age = seconds(clock_.wall()) - begun;
    if (age < 0 || age > std::chrono::seconds(kAttemptLasts).count()) return std::nullopt;
    return attempt;
}

std::string OidcAttempts::cookie(const OidcAttempt& attempt, bool tls) {
    return set_cookie(name_of(attempt.state), attempt.cookie, std::chrono::seconds(kAttemptLasts).count(), tls);
}

std::string OidcAttempts::ended_cookie(const OidcAttempt& attempt, bool tls) { return set_cookie(name_of(attempt.state), "", 0, tls); }

std::vector<std::string> OidcAttempts::surplus(const http::Request& request) {
    std::vector<std::string> ended;
    for (const auto& [name, value] : cookies_of(request)) {
        if (is_attempts_name(name)) ended.push_back(set_cookie(name, "", 0, request.tls));
    }
    if (ended.size() < kAttemptsMax) ended.clear();
    return ended;
}

}  // namespace gantry::control
