#include "sources/content_range.h"

#include <charconv>

namespace gantry::sources {

std::optional<ContentRange> parse_content_range(std::string_view text) {
    constexpr std::string_view kUnit = "bytes ";
    if (!text.starts_with(kUnit)) return std::nullopt;
    ContentRange range;
    const char* at = text.data() + kUnit.size();
    const char* const end = text.data() + text.size();
    const auto number = [&](uint64_t& into, char behind) {
        const auto [stopped, failed] = std::from_chars(at, end, into);
        const bool good = failed == std::errc() && (behind == '\0' ? stopped == end : stopped != end && *stopped == behind);
        at = good && behind != '\0' ? stopped + 1 : stopped;
        return good;
    };
    if (!number(range.begin, '-') || !number(range.last, '/') || !number(range.total, '\0')) return std::nullopt;
    if (range.begin > range.last || range.last >= range.total) return std::nullopt;
    return range;
}

}  // namespace gantry::sources
