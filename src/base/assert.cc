#include "base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace gantry {

void assertion_failed(const char* condition, const char* why, const char* file, int line) {
    std::fprintf(stderr, "gantry: bug: %s (%s) at %s:%d\n", why, condition, file, line);
    std::fflush(stderr);
    std::abort();
}

}  // namespace gantry
