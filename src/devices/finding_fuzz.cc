// The line of JSON between `gantry probe` and the inventory: what is taken reads back as itself, and keeps what its reader promises.

#include <cstdint>
#include <set>

#include "devices/devices.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace gantry::devices;
    const auto finding = finding_from(std::string(reinterpret_cast<const char*>(data), size), "nvidia");
    if (!finding) return 0;
    std::set<uint32_t> places;
    for (const auto& device : finding->devices) {
        if (device.vendor != "nvidia" || device.memory_free_bytes > device.memory_total_bytes || !places.insert(device.index).second) {
            __builtin_trap();
        }
    }
    const auto again = finding_from(to_text(*finding), "nvidia");
    if (!again || again->devices != finding->devices || again->note != finding->note) __builtin_trap();
    return 0;
}
