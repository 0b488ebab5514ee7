#pragma once
// Errors as HTTP answers. Internal to the gateway.

#include "base/result.h"
#include "http/http.h"

namespace gantry::gateway {

// The four-key body with the status of the error's code. `retry_after_s` 0: no Retry-After.
http::Response error_answer(const Error& error, int retry_after_s = 0);
// The same with a status of its own (502 for a crashed engine, 421, ...).
http::Response error_answer(int status, const Error& error, int retry_after_s = 0);

}  // namespace gantry::gateway
