#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <cctype>

#include "base/ascii.h"
#include "gateway/answers.h"
#include "gateway/gateway.h"
#include "gateway/host_name.h"
#include "protocol/openai/errors.h"

namespace gantry::gateway {
namespace {

using http::Exchange;
using http::Task;

bool is_port(std::string_view text) {
    return !text.empty() && text.size() <= 5 &&
           std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool is_ip(std::string_view text) {
    boost::system::error_code failure;
    boost::asio::ip::make_address(std::string(text), failure);
    return !failure && text.find('%') == std::string_view::npos;
}

http::Response refuse(int status, std::string message, const std::string& path) {
    Error error = protocol::openai::error_from_status(status, std::move(message));
    error.reason = "invalid_host";
    return answer_of({status, std::move(error)}, path);
}

Task<void> answer(Exchange& exchange, int status, std::string message) {
    co_await exchange.respond(refuse(status, std::move(message), exchange.request().path));
}

// No coroutine of its own where the request passes.
Task<void> guard(const std::vector<std::string>& allowed, Exchange& exchange, const http::Next& next) {
    const http::Request& request = exchange.request();
    if (request.peer == "unix" || request.listener == kLinkListener) return next(exchange);  // nobody's browser gets there
    if (request.headers.count("host") != 1 || (!request.target.starts_with('/') && request.target != "*")) {
        return answer(exchange, 400, "A request needs exactly one Host header and a path that starts with '/'.");
    }
    if (!host_allowed(request.headers.get("host"), allowed)) {
        return answer(exchange, 421, "This server does not go by the name in the Host header. Use its IP address or localhost, or have "
                                     "an administrator add the name to its allowed hosts.");
    }
    return next(exchange);
}

}  // namespace

bool host_allowed(std::string_view host, const std::vector<std::string>& allowed) {
    if (host.starts_with('[')) {
        const size_t end = host.find(']');
        if (end == std::string_view::npos) return false;
        const std::string_view rest = host.substr(end + 1);
        const bool port = rest.empty() || (rest.front() == ':' && is_port(rest.substr(1)));
        const std::string_view inside = host.substr(1, end - 1);
        return port && inside.find(':') != std::string_view::npos && is_ip(inside);
    }
    if (const size_t colon = host.find(':'); colon != std::string_view::npos) {
        if (!is_port(host.substr(colon + 1))) return false;
        host = host.substr(0, colon);
    }
    std::string name = lowered(host);
    if (name.ends_with('.')) name.pop_back();
    if (name == "localhost" || is_ip(host)) return true;
    return !name.empty() && std::find(allowed.begin(), allowed.end(), name) != allowed.end();
}

http::Middleware host_check(std::vector<std::string> allowed) {
    for (std::string& name : allowed) name = lowered(name);
    // Shared: the middleware is a copyable function.
    auto names = std::make_shared<const std::vector<std::string>>(std::move(allowed));
    return [names](Exchange& exchange, const http::Route*, const http::Next& next) { return guard(*names, exchange, next); };
}

}  // namespace gantry::gateway
