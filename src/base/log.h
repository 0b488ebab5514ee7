#pragma once
// Logging: structured enough to grep, one line an event, on stderr and (server, worker) in <data-dir>/logs/gantry.log.
// Control characters in a message, and what else steers a terminal or turns the order of letters around, are escaped before
// they reach a sink, so that no input can forge a line.
// Never log keys, passwords or prompts. Threads: any.

#include <fmt/format.h>

#include <chrono>
#include <string>
#include <string_view>

#include "base/assert.h"

namespace gantry::log {

enum class Level { kDebug, kInfo, kWarn, kError };

struct Options {
    Level level = Level::kInfo;
    std::string file;       // empty: none
    bool to_stderr = true;
    // Lines below a warning are written together, at the latest after this; a kill takes those not yet written. 0: each at once.
    std::chrono::milliseconds linger{0};
};
void start(const Options& options);
void write(Level level, std::string_view message);
// How many bytes the first character of `text` has if it is such a character; else 0.
size_t steering_length(std::string_view text);
// `text` with each byte of such a character as \xNN, cut at `limit` bytes.
std::string escape(std::string_view text, size_t limit = 4096);

template <class... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
    write(Level::kDebug, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
    write(Level::kInfo, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
GANTRY_COLD void warn(fmt::format_string<Args...> format, Args&&... args) {
    write(Level::kWarn, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
GANTRY_COLD void error(fmt::format_string<Args...> format, Args&&... args) {
    write(Level::kError, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace gantry::log
