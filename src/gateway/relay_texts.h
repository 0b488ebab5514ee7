#pragma once
// What the files of the relay share: what clients are told of whoever serves a model. Internal to the gateway.

#include <string>
#include <string_view>

#include "base/ascii.h"
#include "gateway/relay.h"

namespace gantry::gateway {

inline constexpr int kEngineRetrySeconds = 1;

inline std::string whose(const Job& job) {
    return (job.model->outside ? "The provider of model '" : "The engine of model '") + job.record.model + "'";
}

inline Error engine_gone(const Job& job) {
    if (job.model->outside) return unavailable(whose(job) + " failed. Try again in a moment.", "provider_failed");
    return unavailable(whose(job) + " failed. It is being restarted; try again in a moment.", "engine_crashed");
}

inline Error too_slow(const Job& job) {
    return Error{ErrorCode::kDeadlineExceeded, whose(job) + " did not answer in time. Try again.", {}, "upstream_timeout"};
}

inline bool has_content_type(const http::Headers& headers, std::string_view wanted) {
    const std::string_view value = headers.get("content-type");
    if (!equal_without_case(value.substr(0, wanted.size()), wanted)) return false;
    return value.size() == wanted.size() || value[wanted.size()] == ';' || value[wanted.size()] == ' ';
}

// Ends that the client, or whoever cancelled the request, brought about: the engine is as well as ever.
inline bool is_clients_doing(const Error& error) {
    return error.reason == "deadline_exceeded" || error.reason == "slow_reader" || error.code == ErrorCode::kCancelled;
}

}  // namespace gantry::gateway
