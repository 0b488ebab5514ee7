#pragma once
// One attempt to log in at a provider, from leaving for it to coming back. It is bound to the browser by a cookie, and nothing of
// it is kept here: state, nonce and PKCE's verifier are derived from the cookie with a key that lives as long as the process, so
// that no number of attempts fills anything. Threads: any.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "http/http.h"

namespace gantry::control {

inline constexpr std::chrono::minutes kAttemptLasts{10};
inline constexpr char kOidcPath[] = "/api/v1/auth/oidc";
inline constexpr size_t kNextBytesMax = 512;
inline constexpr size_t kAttemptsMax = 8;                      // of one browser; with too many their cookies fill a request's head

struct OidcAttempt {
    std::string cookie;       // its value
    std::string next;         // where to go then: a path of ours
    std::string state;
    std::string nonce;
    std::string verifier;
    std::string challenge() const;   // PKCE, S256
};

class OidcAttempts {
public:
    OidcAttempts(RandomSource& random, const Clock& clock);
    OidcAttempt begin(const std::string& next) const;
    // The attempt whose cookie came along and whose state the provider gave back; nullopt: none, another's, or too old.
    std::optional<OidcAttempt> resume(const http::Request& request) const;

    // Values of Set-Cookie.
    static std::string cookie(const OidcAttempt& attempt, bool tls);
    static std::string ended_cookie(const OidcAttempt& attempt, bool tls);
    // Those that end the attempts which the request carries, where it carries kAttemptsMax; else none.
    static std::vector<std::string> surplus(const http::Request& request);

private:
    OidcAttempt derive(std::string cookie, std::string next) const;
    std::string secret(const char* what, const std::string& cookie) const;

    RandomSource& random_;
    const Clock& clock_;
    const std::string key_;
};

// Whether a browser that is sent there stays here: "/play?x=1", never "//elsewhere" or "/\elsewhere".
bool is_local_path(std::string_view next);

}  // namespace gantry::control
