#include "protocol/openai/errors.h"

#include "protocol/openai/fields.h"

namespace gantry::protocol::openai {
namespace {

struct Row {
    ErrorCode code;
    int status;
    const char* type;
    const char* reason;
};

// Trust table B2. The SDKs retry 408, 409, 429 and everything from 500 on, so a caller's own
// mistake must not land there.
constexpr Row kTable[] = {
    {ErrorCode::kInvalidArgument, 400, "invalid_request_error", "invalid_request"},
    {ErrorCode::kUnauthenticated, 401, "authentication_error", "invalid_api_key"},
    {ErrorCode::kPermissionDenied, 403, "permission_error", "permission_denied"},
    {ErrorCode::kNotFound, 404, "not_found_error", "not_found"},
    {ErrorCode::kConflict, 409, "conflict_error", "conflict"},
    {ErrorCode::kTooLarge, 413, "invalid_request_error", "request_too_large"},
    {ErrorCode::kRateLimited, 429, "rate_limit_error", "rate_limit_exceeded"},
    {ErrorCode::kCancelled, 499, "invalid_request_error", "cancelled"},
    {ErrorCode::kInternal, 500, "server_error", "internal_error"},
    {ErrorCode::kUnavailable, 503, "server_error", "unavailable"},
    {ErrorCode::kDeadlineExceeded, 504, "server_error", "upstream_timeout"},
    {ErrorCode::kStorageFull, 507, "server_error", "storage_full"},
};

const Row& row_of(ErrorCode code) {
    for (const Row& row : kTable) {
        if (row.code == code) {
            return row;
        }
    }
    GANTRY_ASSERT(false, "every ErrorCode has a row");
}

json::value text_or_null(const std::string& text) {
    return text.empty() ? json::value(nullptr) : json::value(text);
}

}  // namespace

int http_status(ErrorCode code) { return row_of(code).status; }

std::string error_type(ErrorCode code) { return row_of(code).type; }

std::string default_reason(ErrorCode code) { return row_of(code).reason; }

json::object error_body(const Error& error) {
    const Row& row = row_of(error.code);
    std::string reason = error.reason;
    if (reason.empty()) {
        reason = error.code == ErrorCode::kInvalidArgument && !error.param.empty() ? "invalid_value"
                                                                                   : row.reason;
    }
    json::object inner;
    inner["message"] = error.message;
    inner["type"] = row.type;
    inner["param"] = text_or_null(error.param);
    inner["code"] = reason;
    json::object body;
    body["error"] = std::move(inner);
    return body;
}

std::string error_json(const Error& error) { return json::serialize(error_body(error)); }

Error error_from_status(int status, std::string message) {
    switch (status) {
        case 401: return {ErrorCode::kUnauthenticated, std::move(message), {}, {}};
        case 403: return {ErrorCode::kPermissionDenied, std::move(message), {}, {}};
        case 404: return {ErrorCode::kNotFound, std::move(message), {}, {}};
        case 405:
            return {ErrorCode::kInvalidArgument, std::move(message), {}, "method_not_allowed"};
        case 408: return {ErrorCode::kInvalidArgument, std::move(message), {}, "request_timeout"};
        case 409: return {ErrorCode::kConflict, std::move(message), {}, {}};
        case 413: return {ErrorCode::kTooLarge, std::move(message), {}, {}};
        case 414: return {ErrorCode::kTooLarge, std::move(message), {}, "uri_too_long"};
        case 415:
            return {ErrorCode::kInvalidArgument, std::move(message), {}, "unsupported_media_type"};
        case 429: return {ErrorCode::kRateLimited, std::move(message), {}, {}};
        case 431: return {ErrorCode::kTooLarge, std::move(message), {}, {}};
        case 502: return {ErrorCode::kUnavailable, std::move(message), {}, "engine_crashed"};
        case 503: return {ErrorCode::kUnavailable, std::move(message), {}, {}};
        case 504: return {ErrorCode::kDeadlineExceeded, std::move(message), {}, {}};
        case 507: return {ErrorCode::kStorageFull, std::move(message), {}, {}};
        default: break;
    }
    const bool callers_fault = status >= 400 && status < 500;
    return {callers_fault ? ErrorCode::kInvalidArgument : ErrorCode::kInternal,
            std::move(message),
            {},
            {}};
}

std::optional<Error> error_of(int status, const json::value& body) {
    if (!body.is_object() || !body.get_object().contains("error")) {
        return std::nullopt;
    }
    const json::value& inner = body.get_object().at("error");
    if (inner.is_null()) {
        return std::nullopt;
    }
    Error error = error_from_status(status, "the server gave no reason");
    if (inner.is_string()) {
        error.message = std::string(inner.get_string());
    } else if (inner.is_object()) {
        const json::object& fields = inner.get_object();
        if (const std::string_view message = text_at(fields, "message"); !message.empty()) {
            error.message = message;
        }
        error.param = text_at(fields, "param");
        if (const std::string_view reason = text_at(fields, "code"); !reason.empty()) {
            error.reason = reason;
        }
    }
    return error;
}

}  // namespace gantry::protocol::openai
