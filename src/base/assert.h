#pragma once
// GANTRY_ASSERT(condition, "why"): on in every build. A broken invariant is a bug of ours and stops the process, so that the
// state it would have corrupted is not written; the supervisor restarts it. What the world may do wrong is a Result instead.

namespace gantry {
[[noreturn]] void assertion_failed(const char* condition, const char* why, const char* file, int line);
}

#define GANTRY_ASSERT(condition, why)                                             \
    do {                                                                          \
        if (!(condition)) [[unlikely]]                                            \
            ::gantry::assertion_failed(#condition, why, __FILE__, __LINE__);      \
    } while (false)
