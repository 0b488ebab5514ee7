#pragma once
// The console's files, as they are in the binary (cmake/Console.cmake).

#include <span>
#include <string_view>

namespace gantry::control {

struct ConsoleFile {
    std::string_view name;      // "index.html", "assets/index-Bk3x.js"
    std::string_view type;      // its media type
    std::string_view plain;
    std::string_view gzip;      // empty: not worth it
    std::string_view brotli;    // the same
};
// Empty where the console was not built.
std::span<const ConsoleFile> console_files();

// The first segments of the addresses of its pages; console/src/pages.ts has the same, and an end-to-end test opens each.
inline constexpr const char* kConsolePages[] = {"login", "overview", "playground", "deployments", "catalogue", "models", "routes", "providers",
                                                "workers", "backends", "keys", "users", "usage", "audit", "settings",
                                                "benchmarks"};

}  // namespace gantry::control
