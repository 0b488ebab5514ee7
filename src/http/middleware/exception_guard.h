#pragma once
// A handler that threw is a 500 in the API's own shape, or a broken stream where the answer had begun; the text of the
// exception goes to the log and never to the client. Stands behind access_log, so that the log shows the 500.

#include "http/http.h"

namespace gantry::http {

Middleware exception_guard(std::function<Response(int status, const std::string& message, const std::string& path)> error_response);

}  // namespace gantry::http
