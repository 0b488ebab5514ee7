#pragma once
// Errors as HTTP answers, in the shape of the API that was asked. Internal to the gateway.

#include <string_view>

#include "base/result.h"
#include "http/http.h"

namespace gantry::gateway {

// Why a request is not served. An error with a status of its own: 502 for a crashed engine, 415, 421 ...
struct Refusal {
    int status = 500;
    Error error;
    int retry_after_s = 0;   // 0: no Retry-After

    Refusal() = default;
    GANTRY_COLD Refusal(int status_, Error error_, int retry_after_s_ = 0)
        : status(status_), error(std::move(error_)), retry_after_s(retry_after_s_) {}
    GANTRY_COLD explicit Refusal(Error error_, int retry_after_s_ = 0);   // the status of the error's code
};

inline constexpr int kStatusClientGone = 499;   // nobody is there to get it, but where the request was cancelled

// Of every stream's answer.
http::Headers stream_headers();

// `path`: of the request. Below /v1/messages errors have Anthropic's shape, elsewhere OpenAI's with its four keys.
GANTRY_COLD http::Response answer_of(const Refusal& refusal, std::string_view path);

}  // namespace gantry::gateway
