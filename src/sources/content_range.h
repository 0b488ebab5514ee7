#pragma once
// "bytes 0-99/1234". Pure.

#include <cstdint>
#include <optional>
#include <string_view>

namespace gantry::sources {

struct ContentRange {
    uint64_t begin = 0, last = 0, total = 0;
};
std::optional<ContentRange> parse_content_range(std::string_view text);

}  // namespace gantry::sources
