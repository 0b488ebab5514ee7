#include "http/middleware/exception_guard.h"

#include "base/log.h"

namespace gantry::http {
namespace {

using ErrorResponse = std::function<Response(int, const std::string&, const std::string&)>;

Task<void> run(Exchange& exchange, const Next& next, const ErrorResponse& error_response) {
    bool threw = false;
    std::string what;
    try {
        co_await next(exchange);
    } catch (const std::exception& failure) {
        threw = true;
        what = failure.what();
    } catch (...) {
        threw = true;
        what = "an unknown exception";
    }
    if (!threw) co_return;
    const Request& request = exchange.request();
    log::error("http: {} {} failed ({}): {}", log::escape(request.method, 16), log::escape(request.path, 256), request.id, what);
    if (exchange.started()) {
        exchange.abort();
        co_return;
    }
    Response response =
        error_response(500, "the server failed on this request; its log has more under request id " + request.id, request.path);
    co_await exchange.respond(std::move(response));
}

}  // namespace

Middleware exception_guard(std::function<Response(int status, const std::string& message, const std::string& path)> error_response) {
    return [error_response = std::move(error_response)](Exchange& exchange, const Route*, const Next& next) {
        return run(exchange, next, error_response);
    };
}

}  // namespace gantry::http
