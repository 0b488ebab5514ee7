// Apple's GPUs (Metal), as `system_profiler SPDisplaysDataType -json` names them. Their memory is the machine's: `sysctl hw.memsize`, and
// what of it is free or can be had at once from `vm_stat`. Not tested on hardware: no build for macOS exists yet.

#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"
#include "devices/text.h"

namespace gantry::devices {
namespace {

// "Mach Virtual Memory Statistics: (page size of 16384 bytes)", "Pages free:   1000."
std::optional<uint64_t> free_bytes(const std::string& text) {
    const auto page = whole_number(word_after(text, "page size of"));
    uint64_t pages = 0;
    for (const char* label : {"Pages free:", "Pages inactive:", "Pages speculative:"}) {
        const std::string_view word = word_after(text, label);
        const auto count = word.ends_with('.') ? whole_number(word.substr(0, word.size() - 1)) : std::nullopt;
        if (!count) return std::nullopt;   // cut off
        pages += *count;
    }
    if (!page) return std::nullopt;
    return *page * pages;
}

bool present(Tools& tools) { return tools.has_program("system_profiler"); }

Finding probe(Tools& tools) {
    Finding finding;
    const auto output = tools.run({"system_profiler", "SPDisplaysDataType", "-json"});
    const auto value = output ? parse_json(output->text) : Result<json::value>(json::value());
    const json::value* list = value && value->is_object() ? value->get_object().if_contains("SPDisplaysDataType") : nullptr;
    if (list == nullptr || !list->is_array()) {
        finding.note = said("system_profiler", output);
        return finding;
    }
    const auto memory = tools.run({"sysctl", "-n", "hw.memsize"});
    const auto total = memory && memory->text.ends_with('\n') ? whole_number(trimmed(memory->text)) : std::nullopt;
    const auto statistics = tools.run({"vm_stat"});
    const auto free = statistics ? free_bytes(statistics->text) : std::nullopt;
    for (const json::value& item : list->get_array()) {
        if (!item.is_object()) continue;
        const auto text = [&item](const char* key) {
            const json::value* field = item.get_object().if_contains(key);
            return field != nullptr && field->is_string() ? readable(std::string_view(field->get_string())) : std::string();
        };
        if (!contains(text("spdisplays_vendor"), "Apple")) continue;   // an Intel machine's GPU: no backend computes on it
        Device device;
        device.vendor = "apple";
        device.index = static_cast<uint32_t>(finding.devices.size());
        device.name = text("sppci_model").empty() ? text("_name") : text("sppci_model");
        device.chip = "metal";
        device.unified_memory = true;
        device.details = text("sppci_cores").empty() ? "" : text("sppci_cores") + " GPU cores";
        if (total) {
            device.memory_total_bytes = *total;
            device.memory_free_bytes = std::min(free.value_or(0), *total);
        }
        if (!total || !free) device.problem = "the machine does not say how much memory it has, or how much is free";
        finding.devices.push_back(std::move(device));
    }
    if (finding.devices.empty()) finding.note = "it has no GPU of Apple's";
    return finding;
}

}  // namespace

const Prober kApple{"apple", present, "system_profiler is not installed: no machine of Apple's", probe};

}  // namespace gantry::devices
