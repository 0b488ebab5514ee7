#include "control/auth/sessions.h"

#include <fmt/format.h>

#include "gateway/api_key.h"

namespace gantry::control {

NewSession make_session(const UserId& user, WallTime now, std::chrono::hours lasts, RandomSource& random) {
    NewSession session;
    session.token = random.token(32);  // 160 bits
    session.row = Session{gateway::digest(session.token), user, now, now + lasts};
    return session;
}

std::string session_cookie(const std::string& token, std::chrono::hours lasts, bool tls) {
    return fmt::format("{}={}; Path=/; HttpOnly; SameSite=Lax; Max-Age={}{}", gateway::kSessionCookie, token,
                       std::chrono::seconds(lasts).count(), tls ? "; Secure" : "");
}

std::string ended_cookie(bool tls) {
    return fmt::format("{}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0{}", gateway::kSessionCookie, tls ? "; Secure" : "");
}

std::string session_token(const http::Request& request) { return cookie_value(request, gateway::kSessionCookie); }

std::vector<std::pair<std::string_view, std::string_view>> cookies_of(const http::Request& request) {
    std::vector<std::pair<std::string_view, std::string_view>> cookies;
    std::string_view rest = request.headers.get("cookie");
    while (!rest.empty()) {
        const size_t end = rest.find(';');
        std::string_view pair = rest.substr(0, end);
        rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
        while (!pair.empty() && pair.front() == ' ') pair.remove_prefix(1);
        const size_t equals = pair.find('=');
        if (equals != std::string_view::npos) cookies.emplace_back(pair.substr(0, equals), pair.substr(equals + 1));
    }
    return cookies;
}

std::string cookie_value(const http::Request& request, std::string_view name) {
    for (const auto& [key, value] : cookies_of(request)) {
        if (key == name) return std::string(value);
    }
    return {};
}

}  // namespace gantry::control
