// What is taken for a base URL reads back as itself, and holds nothing that could end a line of a request or name another host.

#include <algorithm>
#include <cstdint>

#include "domain/provider.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace gantry;
    const auto url = parse_base_url(std::string_view(reinterpret_cast<const char*>(data), size));
    if (!url) return 0;
    const std::string text = url->text();
    const auto again = parse_base_url(text);
    const bool clean = std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f && c != '@' && c != '?' && c != '#'; });
    const bool whole = !url->host.empty() && url->port != 0 && (url->path.empty() || (url->path.front() == '/' && url->path.back() != '/'));
    if (!again || again->text() != text || again->endpoint() != url->endpoint() || !clean || !whole) __builtin_trap();
    return 0;
}
