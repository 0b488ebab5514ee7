#pragma once
// What this build calls itself.

namespace gantry {
inline constexpr char kVersion[] = GANTRY_VERSION;   // "0.1.0"
const char* commit();                                // short hash of the commit it was built from, or "unknown"
}  // namespace gantry
