#pragma once
// Letters of ASCII, whatever the locale; every other byte stays as it is. Threads: any, no state.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace gantry {

constexpr char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

inline std::string lowered(std::string_view text) {
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(), to_lower);
    return out;
}

constexpr bool equal_without_case(std::string_view a, std::string_view b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return to_lower(x) == to_lower(y); });
}

// Whether all bytes are printable ASCII, the space included. Eight at a time: heads and lines of the log are looked at whole.
inline bool is_printable(std::string_view text) {
    constexpr uint64_t kOnes = 0x0101010101010101, kHighs = 0x8080808080808080;
    const auto odd = [](uint64_t eight) { return (((eight - kOnes * 0x20) & ~eight) | eight | (eight + kOnes)) & kHighs; };
    uint64_t found = 0;
    for (; text.size() >= sizeof(uint64_t); text.remove_prefix(sizeof(uint64_t))) {
        uint64_t eight = 0;
        std::memcpy(&eight, text.data(), sizeof(eight));
        found |= odd(eight);
    }
    for (const char c : text) found |= c < 0x20 || c == 0x7f ? 1 : 0;   // bytes over 0x7f are negative here
    return found == 0;
}

}  // namespace gantry
