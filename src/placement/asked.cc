#include "placement/asked.h"

#include <algorithm>
#include <charconv>

#include "base/ascii.h"

namespace gantry::placement {
namespace {

bool starts_with_any_case(const std::string& text, const std::string& start) {
    return equal_without_case(std::string_view(text).substr(0, start.size()), start);
}

}  // namespace

std::optional<Chosen> parse_chosen(const std::string& text) {
    const size_t last = text.rfind('/');
    if (last == std::string::npos || last == 0) return std::nullopt;
    const size_t before = text.rfind('/', last - 1);   // a worker's name may have slashes of its own
    Chosen chosen;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + last + 1, end, chosen.device.index);
    if (error != std::errc{} || stop != end) return std::nullopt;
    const size_t vendor = before == std::string::npos ? 0 : before + 1;
    chosen.device.vendor = text.substr(vendor, last - vendor);
    if (before != std::string::npos) chosen.worker = text.substr(0, before);
    if (chosen.device.vendor.empty() || before == 0) return std::nullopt;
    return chosen;
}

bool Asked::names(const Worker& worker, const DeviceName& device) const {
    return std::any_of(by_hand.begin(), by_hand.end(), [&](const Chosen& chosen) { return chosen.is(worker, device); });
}

bool Asked::wants_type(const std::string& vendor, const std::string& chip) const {
    const auto& types = deployment.placement.device_types;
    return std::any_of(types.begin(), types.end(), [&](const std::string& type) {
        const bool is_vendor = type.size() == vendor.size() && starts_with_any_case(vendor, type);
        return !type.empty() && (is_vendor || starts_with_any_case(chip, type));
    });
}

}  // namespace gantry::placement
