#include "gateway/answers.h"

#include "gateway/gateway.h"
#include "protocol/openai/errors.h"

namespace gantry::gateway {

http::Response error_answer(int status, const Error& error, int retry_after_s) {
    http::Response response = http::json_response(status, protocol::openai::error_json(error));
    if (retry_after_s > 0) response.headers.set("retry-after", std::to_string(retry_after_s));
    if (error.reason == "deadline_exceeded") response.headers.set("x-should-retry", "false");  // for SDKs: it is too late by now
    if (status == 401) response.headers.set("www-authenticate", "Bearer");
    return response;
}

http::Response error_answer(const Error& error, int retry_after_s) {
    return error_answer(protocol::openai::http_status(error.code), error, retry_after_s);
}

http::Response openai_error_response(int status, const std::string& message, const std::string& path) {
    (void)path;  // the same shape everywhere; named for those who want another below some path
    return error_answer(status, protocol::openai::error_from_status(status, message));
}

}  // namespace gantry::gateway
