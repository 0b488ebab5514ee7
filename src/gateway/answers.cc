#include "gateway/answers.h"

#include "gateway/gateway.h"
#include "protocol/anthropic/messages.h"
#include "protocol/openai/errors.h"

namespace gantry::gateway {

Refusal::Refusal(Error error_, int retry_after_s_)
    : status(protocol::openai::http_status(error_.code)), error(std::move(error_)), retry_after_s(retry_after_s_) {}

http::Headers stream_headers() {
    http::Headers headers;
    headers.add("content-type", "text/event-stream");
    headers.add("cache-control", "no-cache");
    return headers;
}

http::Response answer_of(const Refusal& refusal, std::string_view path) {
    const Error& error = refusal.error;
    const bool anthropic = path.starts_with("/v1/messages");
    http::Response response = http::json_response(
        refusal.status, anthropic ? json::serialize(protocol::anthropic::error_body(refusal.status, error))
                                  : protocol::openai::error_json(error));
    if (refusal.retry_after_s > 0) response.headers.set("retry-after", std::to_string(refusal.retry_after_s));
    // For SDKs: it is too late by now, or nobody is about to make it ready.
    const bool hopeless = error.reason == "deadline_exceeded" || error.reason == "model_stopped" || error.reason == "provider_refused";
    if (hopeless) response.headers.set("x-should-retry", "false");
    if (refusal.status == 401) response.headers.set("www-authenticate", "Bearer");
    return response;
}

http::Response openai_error_response(int status, const std::string& message, const std::string& path) {
    return answer_of({status, protocol::openai::error_from_status(status, message)}, path);
}

}  // namespace gantry::gateway
