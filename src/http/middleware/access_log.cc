#include "http/middleware/access_log.h"

#include <algorithm>

#include "base/guarded.h"
#include "base/log.h"
#include "base/metrics.h"
#include "http/middleware/request_metrics.h"
#include "http/target.h"

namespace gantry::http {
namespace {

constexpr size_t kPathLogged = 256;

prometheus::Histogram* duration_of(const std::string& listener) {
    static Guarded<std::map<std::string, prometheus::Histogram*>> histograms;
    return histograms.with([&](auto& known) {
        prometheus::Histogram*& histogram = known[listener];
        if (histogram == nullptr) {
            histogram = &metrics::seconds("gantry_http_request_seconds", "From the head of a request to the end of its answer",
                                          {{"listener", listener}});
        }
        return histogram;
    });
}

void record(const Exchange& exchange, const AccessLogOptions& options) {
    const Request& request = exchange.request();
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - request.received_at).count();
    // 499 as in nginx: nobody was there to get an answer.
    const int status = exchange.started() ? exchange.status() : exchange.client_gone() ? 499 : 500;
    count_request(request.listener, request.method, status);
    duration_of(request.listener)->Observe(seconds);
    if (!options.log_lines) return;
    if (status < 400 && std::find(options.quiet_paths.begin(), options.quiet_paths.end(), request.path) !=
                            options.quiet_paths.end()) {
        return;
    }
    log::info("{} {} {} {} {} {} B {:.3f} s{} {}{}{}", request.listener, request.peer, log::escape(request.method, 16),
              log::escape(path_as_sent(request.target), kPathLogged), status, exchange.bytes_sent(), seconds,
              exchange.client_gone() ? " client left" : "", request.id, exchange.log_fields.empty() ? "" : " ", exchange.log_fields);
}

Task<void> run(Exchange& exchange, const Next& next, const AccessLogOptions& options) {
    std::exception_ptr failure;
    try {
        co_await next(exchange);
    } catch (...) {
        failure = std::current_exception();
    }
    record(exchange, options);
    if (failure) std::rethrow_exception(failure);
}

}  // namespace

Middleware access_log(AccessLogOptions options) {
    return [options = std::move(options)](Exchange& exchange, const Route*, const Next& next) {
        return run(exchange, next, options);  // not a coroutine itself: the options live in the middleware
    };
}

}  // namespace gantry::http
