#include "base/result.h"

#include <cerrno>
#include <cstring>

namespace gantry {

const char* to_string(ErrorCode code) {
    switch (code) {
        case ErrorCode::kInvalidArgument: return "invalid_argument";
        case ErrorCode::kUnauthenticated: return "unauthenticated";
        case ErrorCode::kPermissionDenied: return "permission_denied";
        case ErrorCode::kNotFound: return "not_found";
        case ErrorCode::kConflict: return "conflict";
        case ErrorCode::kTooLarge: return "too_large";
        case ErrorCode::kRateLimited: return "rate_limited";
        case ErrorCode::kCancelled: return "cancelled";
        case ErrorCode::kInternal: return "internal";
        case ErrorCode::kUnavailable: return "unavailable";
        case ErrorCode::kDeadlineExceeded: return "deadline_exceeded";
        case ErrorCode::kStorageFull: return "storage_full";
    }
    return "internal";
}

Error invalid_argument(std::string message, std::string param, std::string reason) {
    return Error{ErrorCode::kInvalidArgument, std::move(message), std::move(param), std::move(reason)};
}
Error not_found(std::string message, std::string reason) { return Error{ErrorCode::kNotFound, std::move(message), {}, std::move(reason)}; }
Error conflict(std::string message) { return Error{ErrorCode::kConflict, std::move(message), {}, {}}; }
Error unavailable(std::string message, std::string reason) {
    return Error{ErrorCode::kUnavailable, std::move(message), {}, std::move(reason)};
}
Error internal_error(std::string message) { return Error{ErrorCode::kInternal, std::move(message), {}, {}}; }

Error error_from_errno(const std::string& what, int error_number) {
    ErrorCode code = ErrorCode::kInternal;
    switch (error_number) {
        case ENOENT: code = ErrorCode::kNotFound; break;
        case EACCES:
        case EPERM: code = ErrorCode::kPermissionDenied; break;
        case ENOSPC:
        case EDQUOT:
        case EROFS:
        case EIO: code = ErrorCode::kStorageFull; break;
        case EMFILE:
        case ENFILE:
        case ENOMEM:
        case EAGAIN: code = ErrorCode::kUnavailable; break;
        case EEXIST: code = ErrorCode::kConflict; break;
        default: break;
    }
    return Error{code, what + ": " + std::strerror(error_number), {}, {}};
}

}  // namespace gantry
