#pragma once
// Errors are values. A function that the world can make fail returns Result<T>: either a T or an Error that says what
// happened in words for the person who reads it. Stands in for std::expected, which g++ 12 lacks in C++20.
// Threads: a plain value, no sharing.

#include <string>
#include <utility>
#include <variant>

#include "base/assert.h"

namespace gantry {

// Why something failed. The one table from these to HTTP statuses is protocol/openai/errors.cc.
enum class ErrorCode {
    kInvalidArgument,   // the caller's input is wrong; sending it again won't help                -> 400
    kUnauthenticated,   // no, or no valid, credentials                                            -> 401
    kPermissionDenied,  // known, but not allowed                                                  -> 403
    kNotFound,          // no such thing                                                           -> 404
    kConflict,          // the thing changed, or exists already                                    -> 409
    kTooLarge,          // over a declared limit                                                   -> 413
    kRateLimited,       // too many; later it would do                                             -> 429
    kCancelled,         // the caller went away, or somebody cancelled the request                 -> 499 (sent in the second case)
    kInternal,          // our fault, or the library's                                             -> 500
    kUnavailable,       // not now: loading, draining, engine gone                                 -> 503
    kDeadlineExceeded,  // took longer than allowed                                                -> 504
    kStorageFull,       // no space, or the disk refuses writes                                    -> 507
};

const char* to_string(ErrorCode code);

struct Error {
    ErrorCode code = ErrorCode::kInternal;
    std::string message;  // what, why and what next, for a person; never an address, a path of ours or SQL
    std::string param;    // JSON path of the offending field, e.g. "messages[0].role"; empty: none
    std::string reason;   // machine-readable, e.g. "model_not_found"; empty: the code's own default
};

struct Ok {};

template <class T>
class [[nodiscard]] Result {
public:
    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}        // NOLINT: implicit by design
    GANTRY_COLD Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}    // NOLINT

    bool ok() const { return state_.index() == 0; }
    explicit operator bool() const { return ok(); }

    // REQUIRES: ok()
    T& value() & { check(); return std::get<0>(state_); }
    const T& value() const& { check(); return std::get<0>(state_); }
    T&& value() && { check(); return std::get<0>(std::move(state_)); }
    T& operator*() & { return value(); }
    const T& operator*() const& { return value(); }
    T&& operator*() && { return std::move(*this).value(); }
    T* operator->() { return &value(); }
    const T* operator->() const { return &value(); }

    // REQUIRES: !ok()
    GANTRY_COLD const Error& error() const& { GANTRY_ASSERT(!ok(), "error() of a success"); return std::get<1>(state_); }
    GANTRY_COLD Error&& error() && { GANTRY_ASSERT(!ok(), "error() of a success"); return std::get<1>(std::move(state_)); }

private:
    void check() const {
        if (!ok()) [[unlikely]]
            assertion_failed("ok()", std::get<1>(state_).message.c_str(), __FILE__, __LINE__);
    }
    std::variant<T, Error> state_;
};

using Status = Result<Ok>;

GANTRY_COLD Error invalid_argument(std::string message, std::string param = {}, std::string reason = {});
GANTRY_COLD Error not_found(std::string message, std::string reason = {});
GANTRY_COLD Error conflict(std::string message);
GANTRY_COLD Error unavailable(std::string message, std::string reason = {});
GANTRY_COLD Error internal_error(std::string message);

// "what: No space left on device" with the code that fits errno (kStorageFull for ENOSPC, EDQUOT, EROFS, EIO; ...).
GANTRY_COLD Error error_from_errno(const std::string& what, int error_number);

}  // namespace gantry

// Returns the error of a Result from the enclosing function; for functions, not coroutines (there: if (!r) co_return r.error()).
#define GANTRY_TRY(expression)                                            \
    do {                                                                  \
        if (auto gantry_try_result = (expression); !gantry_try_result)    \
            return std::move(gantry_try_result).error();                  \
    } while (false)
