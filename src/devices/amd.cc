// AMD GPUs, as the kernel driver shows them: /sys/class/kfd for what computes (its order is that of HIP_VISIBLE_DEVICES), the links
// between them (XGMI, PCIe) and the processes; /sys/class/drm for memory, load, errors in memory (RAS) and damaged pages. Names from
// amd-smi or rocm-smi where one is installed. A container may see neither folder: then amd-smi's JSON alone tells, which knows errors and
// processes too, or rocm-smi's, which does not. Not told here: partitions of a GPU (CPX and the like), each a node of its own.
//
// Graphics of a processor (APU) have a piece of its memory that firmware carved out for them (mem_info_vram_total), which the machine has
// no more: it is theirs alone, and no unified memory. Newer drivers leave it be where it is smaller than what they may take of the
// machine's own memory (GTT), and take that for all that computes (amdgpu_ttm.c, apu_prefer_gtt); the topology's bank of memory says
// which of the two it is. MI300A has nothing carved out: its memory is the machine's.
//
// Files: "AMDGPU sysfs" and "AMDGPU RAS Support" in the kernel's documentation (gpu/amdgpu/driver-misc, thermal, ras); kfd topology's
// properties in kfd_topology.c, kinds of links in kfd_crat.h, /sys/class/kfd/kfd/proc in kfd_process.c.

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "devices/amd_tools.h"
#include "devices/text.h"

namespace gantry::devices {
namespace {

constexpr char kNodes[] = "/sys/class/kfd/kfd/topology/nodes";
constexpr uint64_t kMi300a = 0x74a0;   // its PCI device; the chip is MI300X's too

std::optional<uint64_t> number_in(Tools& tools, const std::string& path) {
    const auto text = tools.read(path);
    return text ? whole_number(trimmed(*text)) : std::nullopt;
}

using Properties = std::map<std::string, uint64_t, std::less<>>;

// "simd_count 160\n...": the properties of a node of the topology, or of a link.
Properties properties(Tools& tools, const std::string& folder) {
    Properties out;
    const auto text = tools.read(folder + "/properties");
    for (const std::string_view line : lines(text ? std::string_view(*text) : std::string_view())) {
        const auto parts = words(line);
        if (parts.size() != 2) continue;
        uint64_t number = 0;   // unique_id takes all 64 bits
        const auto parsed = std::from_chars(parts[1].data(), parts[1].data() + parts[1].size(), number);
        if (parsed.ec == std::errc() && parsed.ptr == parts[1].data() + parts[1].size()) out[std::string(parts[0])] = number;
    }
    return out;
}

// 90402 is gfx942: major, minor and stepping, two decimal digits each, the last two written as hexadecimal ones.
std::string chip_of(uint64_t version) {
    if (version == 0) return {};
    return fmt::format("gfx{}{:x}{:x}", version / 10'000, version / 100 % 100, version % 100);
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

// Of the blocks' "ue: 0\nce: 2\n" and of lines "0x027f5d43 : 0x00001000 : P", whose last letter says whether the page is out of use (R),
// will be (P) or can't be put out of use (F).
std::string errors_in_memory(Tools& tools, const std::string& folder) {
    uint64_t errors = 0;
    for (const std::string& file : tools.list(folder + "/ras")) {
        if (!file.ends_with("_err_count") && !file.starts_with("aca_")) continue;
        const auto text = tools.read(folder + "/ras/" + file);
        errors += text ? whole_number(word_after(*text, "ue:")).value_or(0) : 0;
    }
    const auto pages = tools.read(folder + "/ras/gpu_vram_bad_pages");
    for (const std::string_view line : lines(pages ? std::string_view(*pages) : std::string_view())) {
        const auto parts = words(line);
        if (parts.size() == 5 && (parts[4] == "P" || parts[4] == "F")) {
            return "damaged pages of its memory wait to be put out of use: restart the machine, or reset the GPU (amd-smi reset --gpureset)";
        }
    }
    return errors > 0 ? uncorrected_errors(errors) : "";
}

// A GPU of the topology.
struct Gpu {
    uint64_t node = 0;
    std::string folder{};      // of its node
    std::string drm{};         // its folder in /sys/class/drm
    Device device{};
};

// What a tool tells of it: its name, and where the driver's folder lacks them the figures.
void add_told(Tools& tools, Gpu& gpu, const AmdCards& cards) {
    Device& d = gpu.device;
    const auto card = std::find_if(cards.all.begin(), cards.all.end(), [&](const AmdCard& one) {
        return one.node ? *one.node == gpu.node : !d.bus_address.empty() && one.device.bus_address == d.bus_address;
    });
    if (card != cards.all.end() && card->named) d.name = card->device.name;
    if (card != cards.all.end() && d.memory_total_bytes == 0 && card->device.memory_total_bytes != 0) {
        d.memory_total_bytes = card->device.memory_total_bytes;
        d.memory_free_bytes = card->device.memory_free_bytes;
        d.utilization = card->device.utilization;
        d.temperature_celsius = card->device.temperature_celsius;
        d.problem = card->device.problem;
    }
    if (!d.name.empty()) return;
    const auto product = tools.read(gpu.drm + "/product_name");
    d.name = product ? readable(trimmed(*product)) : "";
    if (d.name.empty()) d.name = "AMD GPU " + d.chip;
}

std::string drm_folder(const Properties& node) {
    const auto minor = node.find("drm_render_minor");
    return fmt::format("/sys/class/drm/renderD{}/device", minor == node.end() ? 0 : minor->second);
}

// The memory that the driver offers to what computes on the node; 0: it does not tell. Kinds of heaps in kfd_crat.h: 1 and 2 are the GPU's.
uint64_t offered_memory(Tools& tools, const std::string& node) {
    uint64_t most = 0;
    for (const std::string& bank : tools.list(node + "/mem_banks")) {
        Properties read = properties(tools, node + "/mem_banks/" + bank);
        if (read["heap_type"] == 1 || read["heap_type"] == 2) most = std::max(most, read["size_in_bytes"]);
    }
    return most;
}

struct Memory {
    std::optional<uint64_t> total{}, used{};
    bool unified = false;
};

Memory memory_of(Tools& tools, const std::string& node, const std::string& folder, const std::string& chip, bool whole_machine) {
    Memory memory{number_in(tools, folder + "/mem_info_vram_total"), number_in(tools, folder + "/mem_info_vram_used"), whole_machine};
    if (!whole_machine && !is_apu(chip)) return memory;
    const uint64_t offered = offered_memory(tools, node), carved_out = memory.total.value_or(0);
    const auto used = number_in(tools, folder + "/mem_info_gtt_used");
    if (used && (offered > carved_out || (whole_machine && offered > 0))) return {offered, *used, true};
    return memory;
}

Device device_of(Tools& tools, const Properties& node, const std::string& node_folder, const std::string& folder) {
    const auto at = [&node](std::string_view key) {
        const auto found = node.find(key);
        return found == node.end() ? 0 : found->second;
    };
    Device d;
    d.vendor = "amd";
    d.chip = chip_of(at("gfx_target_version"));
    if (at("unique_id") != 0) d.uuid = fmt::format("GPU-{:x}", at("unique_id"));
    const Memory memory = memory_of(tools, node_folder, folder, d.chip, at("device_id") == kMi300a);
    d.unified_memory = memory.unified;
    if (memory.total && memory.used) {
        d.memory_total_bytes = *memory.total;
        d.memory_free_bytes = *memory.total - std::min(*memory.used, *memory.total);
        d.problem = errors_in_memory(tools, folder);
    } else {
        d.problem = "the driver does not tell its memory (" + folder + "/mem_info_vram_total can't be read)";
    }
    const auto busy = number_in(tools, folder + "/gpu_busy_percent");
    d.utilization = share(busy ? std::optional<double>(static_cast<double>(*busy)) : std::nullopt);
    d.temperature_celsius = temperature(tools, folder);
    d.bus_address = slot_name(tools, folder);
    d.numa_node = numa_node(tools, d.bus_address);
    return d;
}

// Kinds in kfd_crat.h: 2 is PCIe, 11 XGMI. io_links hold those to processors too.
void add_links(Tools& tools, std::vector<Gpu>& gpus) {
    for (Gpu& gpu : gpus) {
        for (const char* kind : {"io_links", "p2p_links"}) {
            const std::string folder = fmt::format("{}/{}", gpu.folder, kind);
            for (const std::string& link : tools.list(folder)) {
                Properties read = properties(tools, folder + "/" + link);
                const auto other = std::find_if(gpus.begin(), gpus.end(), [&](const Gpu& one) { return one.node == read["node_to"]; });
                if (other == gpus.end() || other->node == gpu.node || (read["type"] != 2 && read["type"] != 11)) continue;
                const auto same = [&](const DeviceLink& one) { return one.to == other->device.index; };
                if (std::any_of(gpu.device.links.begin(), gpu.device.links.end(), same)) continue;
                gpu.device.links.push_back({other->device.index, read["type"] == 11 ? "XGMI" : "PCIE"});
            }
        }
    }
}

// /sys/class/kfd/kfd/proc/PID/vram_GPUID: bytes. The kernel's process numbers, and no names: in a container they are of other processes.
void add_processes(Tools& tools, std::vector<Gpu>& gpus) {
    constexpr char kProcesses[] = "/sys/class/kfd/kfd/proc";
    for (const std::string& process : tools.list(kProcesses)) {
        const auto pid = whole_number(process);
        if (!pid) continue;
        for (Gpu& gpu : gpus) {
            const auto id = number_in(tools, gpu.folder + "/gpu_id");
            const auto bytes = id ? number_in(tools, fmt::format("{}/{}/vram_{}", kProcesses, process, *id)) : std::nullopt;
            if (!bytes || *bytes == 0) continue;
            gpu.device.processes.push_back({.pid = static_cast<int64_t>(*pid), .name = {}, .memory_bytes = *bytes, .instance_id = {}});
        }
    }
}

bool present(Tools& tools) {
    if (tools.has_program("hy-smi") || !tools.list("/opt/hyhal").empty()) return false;   // Hygon's ROCm: its own prober's
    return has_device_file(tools, "kfd") || tools.has_program("amd-smi") || tools.has_program("rocm-smi");
}

std::vector<Gpu> gpus_of(Tools& tools) {
    std::vector<std::string> nodes = tools.list(kNodes);
    std::sort(nodes.begin(), nodes.end(), [](const std::string& a, const std::string& b) {
        return std::pair(a.size(), a) < std::pair(b.size(), b);   // "2" before "10"
    });
    std::vector<Gpu> gpus;
    for (const std::string& node : nodes) {
        Gpu gpu{.node = whole_number(node).value_or(0), .folder = fmt::format("{}/{}", kNodes, node)};
        const Properties read = properties(tools, gpu.folder);
        const auto simd = read.find("simd_count");
        if (simd == read.end() || simd->second == 0) continue;   // a processor
        gpu.drm = drm_folder(read);
        gpu.device = device_of(tools, read, gpu.folder, gpu.drm);
        gpu.device.index = static_cast<uint32_t>(gpus.size());
        gpus.push_back(std::move(gpu));
    }
    const bool whole = std::all_of(gpus.begin(), gpus.end(), [](const Gpu& gpu) { return gpu.device.memory_total_bytes != 0; });
    const AmdCards cards = gpus.empty() ? AmdCards{} : amd_cards(tools, whole);
    for (Gpu& gpu : gpus) add_told(tools, gpu, cards);
    add_links(tools, gpus);
    add_processes(tools, gpus);
    return gpus;
}

Finding probe(Tools& tools) {
    Finding finding;
    for (Gpu& gpu : gpus_of(tools)) finding.devices.push_back(std::move(gpu.device));
    if (finding.devices.empty()) {
        AmdCards cards = amd_cards(tools, false);
        for (AmdCard& card : cards.all) finding.devices.push_back(std::move(card.device));
        finding.note = cards.problem;
    }
    const auto version = tools.read("/sys/module/amdgpu/version");
    const auto rocm = tools.read("/opt/rocm/.info/version");
    for (Device& device : finding.devices) {
        if (version) device.driver_version = readable(trimmed(*version));
        if (rocm) device.runtime_version = "ROCm " + readable(trimmed(*rocm));
    }
    if (!finding.devices.empty()) finding.note.clear();
    if (finding.devices.empty() && finding.note.empty()) finding.note = "/dev/kfd is there, but no GPU computes behind it";
    return finding;
}

}  // namespace

const Prober kAmd{"amd", present, "no /dev/kfd, and neither amd-smi nor rocm-smi is installed", probe};

}  // namespace gantry::devices
