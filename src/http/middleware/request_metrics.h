#pragma once
// gantry_http_requests_total{listener,method,status} and gantry_http_request_seconds{listener}. The labels are bounded: a
// method nobody knows is "other", a status stands for itself. Threads: any.

#include <string>

#include "http/http.h"

namespace gantry::http {

void count_request(const std::string& listener, const std::string& method, int status);

}  // namespace gantry::http
