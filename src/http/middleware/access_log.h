#pragma once
// The outermost middleware: one log line and the metrics of request_metrics.h for each request that reached the handlers.
// (What the server refused by itself before is logged and counted by the connection.)

#include "http/http.h"

namespace gantry::http {

struct AccessLogOptions {
    bool log_lines = true;
    // Paths asked for all the time (health checks, metrics) are counted but not logged while they succeed.
    std::vector<std::string> quiet_paths;
};
// "public 10.0.0.7 POST /v1/chat/completions 200 1834 B 0.412 s <request id> <Exchange::log_fields>". The query isn't logged: it may
// hold secrets.
Middleware access_log(AccessLogOptions options = {});

}  // namespace gantry::http
