#pragma once
// The one table from ErrorCode to HTTP, and the one shape of every error on /v1: an object "error"
// that always has the four keys message, type, param and code (null where there is nothing to say).
// Threads: any.

#include <optional>
#include <string>

#include "base/json.h"
#include "base/result.h"

namespace gantry::protocol::openai {

int http_status(ErrorCode code);  // 400, 401, 403, 404, 409, 413, 429, 499, 500, 503, 504, 507
std::string error_type(ErrorCode code);  // "invalid_request_error", "authentication_error", ...
std::string default_reason(
    ErrorCode code);  // "code" where Error::reason is empty: "invalid_api_key", ...

std::string reason_of(const Error& error);  // what "code" is of this one
json::object error_body(const Error& error);  // {"error":{"message","type","param","code"}}
std::string error_json(const Error& error);   // the same, serialized

// The error for a status that the HTTP layer decided on by itself (404 route, 405, 413, 414, 415,
// 431, 5xx ...). The status to send stays `status`: several of these share an ErrorCode.
Error error_from_status(int status, std::string message);

// Reads an error body of ours or of another OpenAI-compatible server; nullopt when it holds no
// "error".
std::optional<Error> error_of(int status, const json::value& body);

}  // namespace gantry::protocol::openai
