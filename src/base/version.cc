#include "base/version.h"

namespace gantry {
const char* commit() { return GANTRY_COMMIT; }
}  // namespace gantry
