#pragma once
// GANTRY_ASSERT(condition, "why"): on in every build. A broken invariant is a bug of ours and stops the process, so that the
// state it would have corrupted is not written; the supervisor restarts it. What the world may do wrong is a Result instead.

// What only runs when something failed. The compiler puts each block that always leads to it out of the way of what runs else, whose
// code is then in fewer lines of the cache.
#define GANTRY_COLD [[gnu::cold, gnu::noinline]]

namespace gantry {
[[noreturn]] GANTRY_COLD void assertion_failed(const char* condition, const char* why, const char* file, int line);
}

#define GANTRY_ASSERT(condition, why)                                             \
    do {                                                                          \
        if (!(condition)) [[unlikely]]                                            \
            ::gantry::assertion_failed(#condition, why, __FILE__, __LINE__);      \
    } while (false)
