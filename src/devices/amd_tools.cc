// rocm-smi: `--json` of ROCm 5 and 6. amd-smi: `list`, `static`, `metric` and `process` with `--json` of ROCm 6 and 7; before amd-smi 26
// static and metric were a bare list, since then {"gpu_data": […]}; a figure is {"value": 54, "unit": "C"}, an absent one "N/A".

#include "devices/amd_tools.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <map>

#include "base/json.h"
#include "devices/text.h"

namespace gantry::devices {
namespace {

constexpr uint64_t kCardsMax = 256;

// ---- rocm-smi ------------------------------------------------------------------------------------------------------------
std::string string_at(const json::object& card, std::initializer_list<const char*> names) {
    for (const char* name : names) {
        const json::value* value = card.if_contains(name);
        if (value != nullptr && value->is_string() && value->get_string() != "N/A") return std::string(value->get_string());
    }
    return {};
}

AmdCard card_of(const json::object& json, uint64_t number) {
    AmdCard card;
    const std::string name = readable(string_at(json, {"Card Series", "Card series", "Card Model", "Card model"}));
    card.named = !name.empty();
    card.node = whole_number(string_at(json, {"Node ID"}));
    Device& d = card.device;
    d.vendor = "amd";
    d.index = static_cast<uint32_t>(number);
    d.name = card.named ? name : "AMD GPU";
    d.chip = readable(string_at(json, {"GFX Version"}));
    d.unified_memory = has_the_machines_memory(d.name);
    d.utilization = share(leading_number(string_at(json, {"GPU use (%)"})));
    const auto total = whole_number(string_at(json, {"VRAM Total Memory (B)"}));
    const auto used = whole_number(string_at(json, {"VRAM Total Used Memory (B)"}));
    if (total && used) {
        d.memory_total_bytes = *total;
        d.memory_free_bytes = *total - std::min(*used, *total);
    } else {
        d.problem = "rocm-smi does not tell its memory: the driver and ROCm may be of different versions";
    }
    return card;
}

AmdCards rocm_smi_cards(Tools& tools) {
    AmdCards out;
    const auto output = tools.run({"rocm-smi", "--showproductname", "--showuse", "--showmeminfo", "vram", "--json"});
    const size_t begin = output ? output->text.find('{') : std::string::npos;   // warnings may stand before it
    const auto value = begin == std::string::npos ? Result<json::value>(json::value())
                                                  : parse_json(output->text.substr(begin, output->text.rfind('}') - begin + 1));
    if (!value || !value->is_object()) {
        out.problem = said("rocm-smi", output);
        return out;
    }
    for (const auto& entry : value->get_object()) {
        const std::string_view key = entry.key();
        const auto number = key.starts_with("card") ? whole_number(key.substr(4)) : std::nullopt;
        if (!number || *number >= kCardsMax || !entry.value().is_object()) continue;
        out.all.push_back(card_of(entry.value().get_object(), *number));
    }
    if (out.all.empty()) out.problem = said("rocm-smi", output);
    return out;
}

// ---- amd-smi -------------------------------------------------------------------------------------------------------------
using Path = std::initializer_list<const char*>;

const json::value* at(const json::value& from, Path path) {
    const json::value* value = &from;
    for (const char* name : path) {
        value = value->is_object() ? value->get_object().if_contains(name) : nullptr;
        if (value == nullptr) return nullptr;
    }
    return value;
}

std::string text_at(const json::value& from, Path path) {
    const json::value* value = at(from, path);
    const bool told = value != nullptr && value->is_string() && value->get_string() != "N/A";
    return told ? readable(std::string_view(value->get_string())) : "";
}

// 54, or {"value": 54, "unit": "C"}.
std::optional<double> figure(const json::value* value) {
    if (value != nullptr && value->is_object()) value = value->get_object().if_contains("value");
    if (value == nullptr || !value->is_number()) return std::nullopt;
    const double number = value->to_number<double>();
    constexpr double kMost = 1e15;
    return number >= 0 && number < kMost ? std::optional(number) : std::nullopt;
}

// {"value": 30576, "unit": "MB"}: amd-smi divides by 1024 twice for its MB.
std::optional<uint64_t> bytes(const json::value* value) {
    const auto number = figure(value);
    const json::value* unit = number && value->is_object() ? value->get_object().if_contains("unit") : nullptr;
    if (unit == nullptr || !unit->is_string()) return std::nullopt;
    return byte_size(fmt::format("{}{}", static_cast<uint64_t>(*number), std::string_view(unit->get_string())));
}

// Calls `take` with each GPU's part of what `amd-smi WHAT --json` prints. What it said where there are none.
template <class Take>
std::string for_each_gpu(Tools& tools, const char* what, Take take) {
    const auto output = tools.run({"amd-smi", what, "--json"});
    const std::string_view text = output ? std::string_view(output->text) : std::string_view();
    size_t begin = text.find_first_of("[{");   // warnings may stand before it, on lines of their own
    while (begin != std::string_view::npos && begin > 0 && text[begin - 1] != '\n') begin = text.find_first_of("[{", begin + 1);
    const auto value = begin == std::string_view::npos ? Result<json::value>(json::value())
                                                       : parse_json(text.substr(begin, text.find_last_of("]}") - begin + 1));
    const json::value* list = value ? &*value : nullptr;
    if (list != nullptr && list->is_object()) list = at(*list, {"gpu_data"});
    size_t taken = 0;
    if (list != nullptr && list->is_array()) {
        for (const json::value& gpu : list->get_array()) {
            const auto number = figure(at(gpu, {"gpu"}));
            if (!number || *number >= static_cast<double>(kCardsMax)) continue;
            take(static_cast<uint32_t>(*number), gpu);
            ++taken;
        }
    }
    return taken > 0 ? "" : said("amd-smi", output);
}

void take_static(AmdCard& card, const json::value& gpu) {
    Device& d = card.device;
    if (std::string name = text_at(gpu, {"asic", "market_name"}); !name.empty()) {
        d.name = std::move(name);
        card.named = true;
    }
    d.chip = text_at(gpu, {"asic", "target_graphics_version"});
    d.unified_memory = has_the_machines_memory(d.name);
    d.driver_version = text_at(gpu, {"driver", "version"});
    if (const std::string bus = bus_address(text_at(gpu, {"bus", "bdf"})); !bus.empty()) d.bus_address = bus;
}

void take_metric(AmdCard& card, const json::value& gpu) {
    Device& d = card.device;
    d.utilization = share(figure(at(gpu, {"usage", "gfx_activity"})));
    d.temperature_celsius = figure(at(gpu, {"temperature", "edge"}));
    if (!d.temperature_celsius) d.temperature_celsius = figure(at(gpu, {"temperature", "hotspot"}));
    const auto total = bytes(at(gpu, {"mem_usage", "total_vram"})), used = bytes(at(gpu, {"mem_usage", "used_vram"}));
    if (total && used) {
        d.memory_total_bytes = *total;
        d.memory_free_bytes = *total - std::min(*used, *total);
    }
    if (const auto errors = figure(at(gpu, {"ecc", "total_uncorrectable_count"})); errors && *errors >= 1) {
        d.problem = uncorrected_errors(static_cast<uint64_t>(*errors));
    }
}

void take_processes(AmdCard& card, const json::value& gpu) {
    const json::value* list = at(gpu, {"process_list"});
    if (list == nullptr || !list->is_array()) return;
    for (const json::value& entry : list->get_array()) {
        const json::value* info = at(entry, {"process_info"});   // a text where none runs
        const auto pid = info != nullptr ? figure(at(*info, {"pid"})) : std::nullopt;
        const auto memory = info != nullptr ? bytes(at(*info, {"mem_usage"})) : std::nullopt;
        if (!pid || !memory || *memory == 0) continue;   // it lists what does not use this GPU too
        card.device.processes.push_back({.pid = static_cast<int64_t>(*pid), .name = text_at(*info, {"name"}), .memory_bytes = *memory,
                                         .instance_id = {}});
    }
}

AmdCards amd_smi_cards(Tools& tools, bool names_only) {
    std::map<uint32_t, AmdCard> cards;
    const auto card = [&cards](uint32_t number) -> AmdCard& {
        AmdCard& one = cards[number];
        one.device.vendor = "amd";
        one.device.index = number;
        if (one.device.name.empty()) one.device.name = "AMD GPU";
        return one;
    };
    AmdCards out;
    out.problem = for_each_gpu(tools, "list", [&](uint32_t number, const json::value& gpu) {
        AmdCard& one = card(number);
        one.device.bus_address = bus_address(text_at(gpu, {"bdf"}));
        if (const auto node = figure(at(gpu, {"node_id"}))) one.node = static_cast<uint64_t>(*node);
    });
    for_each_gpu(tools, "static", [&](uint32_t number, const json::value& gpu) { take_static(card(number), gpu); });
    if (!names_only) {
        for_each_gpu(tools, "metric", [&](uint32_t number, const json::value& gpu) { take_metric(card(number), gpu); });
    }
    if (!names_only && !cards.empty()) {
        for_each_gpu(tools, "process", [&](uint32_t number, const json::value& gpu) {
            if (const auto found = cards.find(number); found != cards.end()) take_processes(found->second, gpu);
        });
    }
    for (auto& [number, one] : cards) {
        if (one.device.memory_total_bytes == 0) {
            one.device.problem = "amd-smi does not tell its memory: the driver and ROCm may be of different versions";
        }
        out.all.push_back(std::move(one));
    }
    return out;
}

}  // namespace

bool is_apu(std::string_view chip) {
    // LLVM's "User Guide for AMDGPU Backend", table of processors.
    constexpr std::string_view kApus[] = {"gfx902",  "gfx909",  "gfx90c",  "gfx1013", "gfx1033", "gfx1035", "gfx1036",
                                          "gfx1037", "gfx1103", "gfx1150", "gfx1151", "gfx1152", "gfx1153"};
    return std::find(std::begin(kApus), std::end(kApus), chip) != std::end(kApus);
}

bool has_the_machines_memory(std::string_view name) { return name.find("MI300A") != std::string_view::npos; }

std::string uncorrected_errors(uint64_t count) {
    return fmt::format("{} uncorrected error{} since its driver was loaded: reset the GPU (amd-smi reset --gpureset), and replace it if "
                       "they come back", count, count == 1 ? "" : "s");
}

AmdCards amd_cards(Tools& tools, bool names_only) {
    AmdCards out;
    if (tools.has_program("amd-smi")) out = amd_smi_cards(tools, names_only);
    if (out.all.empty() && tools.has_program("rocm-smi")) {
        AmdCards older = rocm_smi_cards(tools);
        if (!out.problem.empty() && older.all.empty()) older.problem = out.problem + "; " + older.problem;
        return older;
    }
    return out;
}

}  // namespace gantry::devices
