// AMD GPUs, as the kernel driver shows them: /sys/class/kfd for what computes (its order is that of HIP_VISIBLE_DEVICES), /sys/class/drm for
// memory and health; names from rocm-smi where it is installed. A container may see neither folder: then rocm-smi's JSON alone tells.
// A part of a processor (APU) has the machine's memory, of which only a carved-out piece counts as its own.
//
// Files: "AMDGPU sysfs" in the kernel's documentation (gpu/amdgpu/driver-misc, thermal); kfd topology's properties in kfd_topology.c.

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/json.h"
#include "devices/text.h"

namespace gantry::devices {
namespace {

constexpr char kNodes[] = "/sys/class/kfd/kfd/topology/nodes";

std::optional<uint64_t> number_in(Tools& tools, const std::string& path) {
    const auto text = tools.read(path);
    return text ? whole_number(trimmed(*text)) : std::nullopt;
}

// "simd_count 160\n...": the properties of a node of the topology.
std::map<std::string, uint64_t, std::less<>> properties(Tools& tools, const std::string& node) {
    std::map<std::string, uint64_t, std::less<>> out;
    const auto text = tools.read(fmt::format("{}/{}/properties", kNodes, node));
    for (const std::string_view line : lines(text ? std::string_view(*text) : std::string_view())) {
        const auto parts = words(line);
        if (parts.size() != 2) continue;
        if (const auto number = whole_number(parts[1])) out[std::string(parts[0])] = *number;
    }
    return out;
}

// 90402 is gfx942: major, minor and stepping, two decimal digits each, the last two written as hexadecimal ones.
std::string chip_of(uint64_t version) {
    if (version == 0) return {};
    return fmt::format("gfx{}{:x}{:x}", version / 10'000, version / 100 % 100, version % 100);
}

// Graphics of processors that have no memory of their own, by their ISA (LLVM's "User Guide for AMDGPU Backend", table of processors).
bool is_apu(std::string_view chip) {
    constexpr std::string_view kApus[] = {"gfx902",  "gfx909",  "gfx90c",  "gfx1013", "gfx1033", "gfx1035", "gfx1036",
                                          "gfx1037", "gfx1103", "gfx1150", "gfx1151", "gfx1152", "gfx1153"};
    return std::find(std::begin(kApus), std::end(kApus), chip) != std::end(kApus);
}

struct Named {
    std::string name;
    std::optional<double> use;
    Device device{};            // all that the JSON alone tells
};

// rocm-smi's cards, by the node of the topology that they are; without one by their own number.
struct Cards {
    std::map<uint64_t, Named> by_node;
    std::vector<Named> all;
    std::string problem;
};

std::string string_at(const json::object& card, std::initializer_list<const char*> names) {
    for (const char* name : names) {
        const json::value* value = card.if_contains(name);
        if (value != nullptr && value->is_string() && value->get_string() != "N/A") return std::string(value->get_string());
    }
    return {};
}

Cards cards(Tools& tools) {
    Cards out;
    if (!tools.has_program("rocm-smi")) return out;
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
        if (!number || *number >= 256 || !entry.value().is_object()) continue;
        const json::object& card = entry.value().get_object();
        Named named;
        named.name = readable(string_at(card, {"Card Series", "Card series", "Card Model", "Card model"}));
        named.use = leading_number(string_at(card, {"GPU use (%)"}));
        Device& d = named.device;
        d.vendor = "amd";
        d.index = static_cast<uint32_t>(*number);
        d.name = named.name.empty() ? "AMD GPU" : named.name;
        d.chip = readable(string_at(card, {"GFX Version"}));
        d.unified_memory = is_apu(d.chip);
        d.utilization = share(named.use);
        const auto total = whole_number(string_at(card, {"VRAM Total Memory (B)"}));
        const auto used = whole_number(string_at(card, {"VRAM Total Used Memory (B)"}));
        if (total && used) {
            d.memory_total_bytes = *total;
            d.memory_free_bytes = *total - std::min(*used, *total);
        } else {
            d.problem = "rocm-smi does not tell its memory: the driver and ROCm may be of different versions";
        }
        if (const auto node = whole_number(string_at(card, {"Node ID"}))) out.by_node[*node] = named;
        out.all.push_back(std::move(named));
    }
    return out;
}

std::optional<double> temperature(Tools& tools, const std::string& folder) {
    for (const std::string& monitor : tools.list(folder + "/hwmon")) {
        if (const auto thousandths = number_in(tools, folder + "/hwmon/" + monitor + "/temp1_input")) {
            return static_cast<double>(*thousandths) / 1000;
        }
    }
    return std::nullopt;
}

// "PCI_SLOT_NAME=0000:c1:00.0"
std::string slot_name(Tools& tools, const std::string& folder) {
    const auto text = tools.read(folder + "/uevent");
    return text ? bus_address(word_after(*text, "PCI_SLOT_NAME=")) : "";
}

Device device_of(Tools& tools, const std::map<std::string, uint64_t, std::less<>>& node, const Named* named) {
    const auto at = [&node](std::string_view key) {
        const auto found = node.find(key);
        return found == node.end() ? 0 : found->second;
    };
    Device d;
    d.vendor = "amd";
    d.chip = chip_of(at("gfx_target_version"));
    if (at("unique_id") != 0) d.uuid = fmt::format("GPU-{:x}", at("unique_id"));
    d.unified_memory = is_apu(d.chip);
    const std::string folder = fmt::format("/sys/class/drm/renderD{}/device", at("drm_render_minor"));
    d.name = named != nullptr && !named->name.empty() ? named->name : "";
    if (d.name.empty()) {
        const auto product = tools.read(folder + "/product_name");
        d.name = product ? readable(trimmed(*product)) : "";
    }
    if (d.name.empty()) d.name = "AMD GPU " + d.chip;
    const auto total = number_in(tools, folder + "/mem_info_vram_total");
    const auto used = number_in(tools, folder + "/mem_info_vram_used");
    if (total && used) {
        d.memory_total_bytes = *total;
        d.memory_free_bytes = *total - std::min(*used, *total);
    } else if (named != nullptr && named->device.problem.empty()) {
        d.memory_total_bytes = named->device.memory_total_bytes;
        d.memory_free_bytes = named->device.memory_free_bytes;
    } else {
        d.problem = "the driver does not tell its memory (" + folder + "/mem_info_vram_total can't be read)";
    }
    const auto busy = number_in(tools, folder + "/gpu_busy_percent");
    d.utilization = share(busy ? std::optional<double>(static_cast<double>(*busy)) : named != nullptr ? named->use : std::nullopt);
    d.temperature_celsius = temperature(tools, folder);
    d.bus_address = slot_name(tools, folder);
    d.numa_node = numa_node(tools, d.bus_address);
    return d;
}

bool present(Tools& tools) {
    if (tools.has_program("hy-smi") || !tools.list("/opt/hyhal").empty()) return false;   // Hygon's ROCm: its own prober's
    return has_device_file(tools, "kfd") || tools.has_program("rocm-smi");
}

Finding probe(Tools& tools) {
    Finding finding;
    const Cards named = cards(tools);
    std::vector<std::string> nodes = tools.list(kNodes);
    std::sort(nodes.begin(), nodes.end(), [](const std::string& a, const std::string& b) {
        return std::pair(a.size(), a) < std::pair(b.size(), b);   // "2" before "10"
    });
    for (const std::string& node : nodes) {
        const auto read = properties(tools, node);
        const auto simd = read.find("simd_count");
        if (simd == read.end() || simd->second == 0) continue;   // a processor
        const auto number = whole_number(node);
        const auto card = number ? named.by_node.find(*number) : named.by_node.end();
        Device device = device_of(tools, read, card == named.by_node.end() ? nullptr : &card->second);
        device.index = static_cast<uint32_t>(finding.devices.size());
        finding.devices.push_back(std::move(device));
    }
    if (finding.devices.empty()) {
        for (const Named& card : named.all) finding.devices.push_back(card.device);
    }
    const auto version = tools.read("/sys/module/amdgpu/version");
    const auto rocm = tools.read("/opt/rocm/.info/version");
    for (Device& device : finding.devices) {
        if (version) device.driver_version = readable(trimmed(*version));
        if (rocm) device.runtime_version = "ROCm " + readable(trimmed(*rocm));
    }
    if (finding.devices.empty()) finding.note = named.problem.empty() ? "/dev/kfd is there, but no GPU computes behind it" : named.problem;
    return finding;
}

}  // namespace

const Prober kAmd{"amd", present, "no /dev/kfd, and rocm-smi is not installed", probe};

}  // namespace gantry::devices
