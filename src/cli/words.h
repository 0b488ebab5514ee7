#pragma once
// Small text tools of the command line. Pure.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace gantry::cli {

// Splits a command into words as a POSIX shell quotes them ('...', "...", \x), without ever running one: $, *, ; and the like
// are plain characters. kInvalidArgument: a quote that never ends.
Result<std::vector<std::string>> split_command(std::string_view text);

// "1,6" -> {1, 6}. kInvalidArgument for anything else, for 0 and for more than `max`.
Result<std::vector<uint32_t>> parse_counts(std::string_view text, uint32_t max);

// "30d", "12h", "15m", "90s" in seconds.
Result<int64_t> parse_period(std::string_view text);

// One path segment, percent-encoded: "a/b c" -> "a%2Fb%20c".
std::string encode_segment(std::string_view text);

// 1536 -> "1.5 KiB". 134515008 parameters -> "134.5M". Seconds -> "45s", "3m", "2h", "5d".
std::string human_bytes(uint64_t bytes);
std::string human_count(uint64_t count);
std::string human_period(int64_t seconds);

// How many columns a UTF-8 text takes: characters, which is right for all but wide and combining ones.
size_t display_width(std::string_view text);
// What steers a terminal (in names and reasons that others wrote; base/log.h) as "?", line ends and tabs as blanks.
std::string printable(std::string_view text);

}  // namespace gantry::cli
