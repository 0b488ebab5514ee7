#pragma once
// Logins of the console: a random token in a cookie, its digest in the database. Threads: any.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "domain/user.h"
#include "http/http.h"

namespace gantry::control {

inline constexpr std::chrono::hours kSessionLasts{24 * 30};
inline constexpr std::chrono::hours kOidcSessionLasts{24};   // the provider is asked again: it may know better by then

struct NewSession {
    std::string token;   // for the cookie, never stored
    Session row;
};
NewSession make_session(const UserId& user, WallTime now, std::chrono::hours lasts, RandomSource& random);

// Values of Set-Cookie. Secure only when the request came by TLS, so that http://IP:9090 works.
std::string session_cookie(const std::string& token, std::chrono::hours lasts, bool tls);
std::string ended_cookie(bool tls);
// The token that a request's cookies hold; empty: none.
std::string session_token(const http::Request& request);
std::string cookie_value(const http::Request& request, std::string_view name);
// Names and values, as the request has them; valid as long as it is.
std::vector<std::pair<std::string_view, std::string_view>> cookies_of(const http::Request& request);

}  // namespace gantry::control
