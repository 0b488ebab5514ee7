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
constexpr size_t kUsualBytes = 160;   // of a line, without what the handler knows

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
    const auto took = std::chrono::steady_clock::now() - request.received_at;
    // 499 as in nginx: nobody was there to get an answer.
    const int status = exchange.started() ? exchange.status() : exchange.client_gone() ? 499 : 500;
    count_request(request.listener, request.method, status);
    duration_of(request.listener)->Observe(std::chrono::duration<double>(took).count());
    if (!options.log_lines) return;
    if (status < 400 && std::find(options.quiet_paths.begin(), options.quiet_paths.end(), request.path) !=
                            options.quiet_paths.end()) {
        return;
    }
    std::string line;
    line.reserve(kUsualBytes + exchange.log_fields.size());
    const auto add = [&line](std::string_view word) { (line += line.empty() ? "" : " ").append(word); };
    add(request.listener);
    add(request.peer);
    add(log::escape(request.method, 16));
    add(log::escape(path_as_sent(request.target), kPathLogged));
    add(std::to_string(status));
    add(std::to_string(exchange.bytes_sent()));
    const auto ms = std::chrono::round<std::chrono::milliseconds>(took).count();
    const std::string thousandths = std::to_string(1000 + ms % 1000);
    add("B");
    add(std::to_string(ms / 1000));
    line.append(".").append(thousandths, 1).append(" s");
    if (exchange.client_gone()) add("client left");
    add(request.id);
    if (!exchange.log_fields.empty()) add(exchange.log_fields);
    log::write(log::Level::kInfo, line);
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
