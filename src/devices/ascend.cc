// Huawei Ascend, by npu-smi (npu_smi.h). A device is a chip, of which a card has one or two. ASCEND_RT_VISIBLE_DEVICES takes the chip's
// logic id, which only `npu-smi info -m` tells: it is the index. The ret codes are those of dcmi_interface_api.h.

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <utility>

#include "devices/npu_smi.h"
#include "devices/text.h"

namespace gantry::devices {
namespace {

using npu_smi::Chip;
using npu_smi::field;
using npu_smi::Places;
using npu_smi::Report;

constexpr uint64_t kGibibyte = 1u << 30;

// The chips' logic ids; counted where -m does not tell, or tells of other chips than these.
std::vector<uint32_t> logic_ids(const std::vector<Chip>& chips, const Places& places) {
    std::vector<uint32_t> ids;
    for (const Chip& chip : chips) {
        const auto place = places.find({chip.npu, chip.chip});
        if (place == places.end() || std::find(ids.begin(), ids.end(), place->second.logic_id) != ids.end()) {
            ids.resize(chips.size());
            std::iota(ids.begin(), ids.end(), 0u);
            return ids;
        }
        ids.push_back(place->second.logic_id);
    }
    return ids;
}

// "Ascend 910B3", "910B3" and "Ascend910B3": "910B3"
std::string bare_name(std::string_view name) {
    name = trimmed(name);
    if (name.substr(0, 6) == "Ascend") {
        name = trimmed(name.substr(6));
    }
    return std::string(name);
}

// The family that decides what runs. The first generation has names such as 910A, 910B without a figure, 910ProA, 910PremiumA.
std::string family(std::string_view name, bool has_physical_ids) {
    const auto starts = [&](std::string_view with) { return name.substr(0, with.size()) == with; };
    if (starts("910_93") || starts("910C") || (name == "910" && has_physical_ids)) {
        return "910C";
    }
    if (starts("910B") && name.size() > 4 && name[4] >= '0' && name[4] <= '9') {
        return "910B";
    }
    for (const char* known : {"310P", "310B", "310", "950"}) {
        if (starts(known)) {
            return known;
        }
    }
    return starts("910") ? "910A" : "";
}

// "key=value" on a line of its own
std::string_view value_of(std::string_view text, std::string_view key) {
    for (const std::string_view line : lines(text)) {
        if (line.size() > key.size() && line.substr(0, key.size()) == key && line[key.size()] == '=') {
            return trimmed(line.substr(key.size() + 1));
        }
    }
    return {};
}

// CANN is installed apart from the driver, in a container often without it.
std::string cann_version(Tools& tools) {
    for (const std::string root : {"/usr/local/Ascend/ascend-toolkit/latest", "/usr/local/Ascend/cann", "/usr/local/Ascend/nnrt/latest"}) {
        for (const std::string& folder : tools.list(root)) {
            if (!folder.ends_with("-linux")) {   // aarch64-linux, x86_64-linux
                continue;
            }
            const Result<std::string> text = tools.read(root + "/" + folder + "/ascend_toolkit_install.info");
            if (const std::string_view version = text.ok() ? value_of(*text, "version") : ""; !version.empty()) {
                return "CANN " + readable(version, 64);
            }
        }
        const Result<std::string> text = tools.read(root + "/version.cfg");
        std::string_view version = text.ok() ? value_of(*text, "toolkit_running_version") : "";   // [7.6.0.1.220:8.0.0]
        version = version.substr(std::min(version.find(':'), version.size()));
        if (version.size() > 2) {
            return "CANN " + readable(version.substr(1, version.find(']') - 1), 64);
        }
    }
    return "";
}

std::string driver_version(Tools& tools) {
    const Result<std::string> text = tools.read("/usr/local/Ascend/driver/version.info");
    const std::string_view release = text.ok() ? value_of(*text, "package_version") : "";
    return readable(!release.empty() || !text.ok() ? release : value_of(*text, "Version"), 64);
}

// Memory that no listed process holds. An idle card's own software takes 2.7 to 4.2 GiB of HBM, and on chips without HBM 0.9 to 2.9
// GiB of its memory, so that much says nothing.
std::string held_by_others(const Chip& chip, uint64_t used_bytes, bool has_hbm) {
    uint64_t listed = 0;
    for (const DeviceProcess& process : chip.processes) {
        listed += process.memory_bytes;
    }
    if (used_bytes < listed + (has_hbm ? 5 : 3) * kGibibyte) {
        return "";
    }
    return fmt::format("; {} of its memory are held by what npu-smi does not list here: another container's processes, or more than it "
                       "lists", size_text(used_bytes - listed));
}

Device device_of(const Chip& chip, uint32_t index, std::string_view name, bool has_physical_ids) {
    Device device;
    device.vendor = "ascend";
    device.index = index;
    device.chip = family(name, has_physical_ids);
    device.name = device.chip == "910C" ? "Ascend 910C" : "Ascend " + readable(name, 64);
    device.details = fmt::format("npu-smi: NPU {}, chip {}", chip.npu, chip.chip);
    device.temperature_celsius = leading_number(field(chip.first, "Temp(C)"));
    device.processes = chip.processes;
    if (const std::string health = field(chip.first, "Health"); health != "OK") {
        device.problem = fmt::format("npu-smi says {} of its health; `npu-smi info -t health -i {} -c {}` says why", readable(health, 32),
                                     chip.npu, chip.chip);
    }
    if (chip.second.empty()) {
        device.problem = "npu-smi's answer ends in the middle of this chip";
        return device;
    }
    device.bus_address = bus_address(field(chip.second, "Bus-Id"));
    device.utilization = share(leading_number(field(chip.second, "AICore(%)")));
    std::optional<MemoryUsage> memory = memory_usage(field(chip.second, "HBM-Usage(MB)"));
    const bool has_hbm = memory && memory->total_bytes > 0;
    if (!has_hbm) {
        memory = memory_usage(field(chip.second, "Memory-Usage(MB)"));
    }
    set_memory(device, memory, "npu-smi");
    device.details += held_by_others(chip, memory ? memory->used_bytes : 0, has_hbm);
    return device;
}

// The table of links counts cards where each has one chip, else chips.
void add_links(Tools& tools, const std::vector<Chip>& chips, std::vector<Device>& devices) {
    const Result<Tools::Output> output = tools.run({"npu-smi", "info", "-t", "topo"});
    if (!output.ok() || devices.size() < 2) {
        return;
    }
    const bool by_card = std::all_of(chips.begin(), chips.end(), [](const Chip& chip) { return chip.chip == 0; });
    std::map<uint32_t, uint32_t> index_of;
    for (size_t i = 0; i < chips.size(); ++i) {
        index_of[by_card ? chips[i].npu : devices[i].index] = devices[i].index;
    }
    for (const auto& [from, links] : link_table(output->text, "NPU")) {
        for (Device& device : devices) {
            for (const DeviceLink& link : links) {
                if (index_of.contains(from) && index_of[from] == device.index && index_of.contains(link.to)) {
                    device.links.push_back({.to = index_of[link.to], .kind = link.kind});
                }
            }
        }
    }
}

// Why npu-smi names no chips, and what to do.
std::string reason(const Result<Tools::Output>& output) {
    constexpr std::string_view kMappings = "/usr/local/dcmi, /usr/local/bin/npu-smi, /usr/local/Ascend/driver/lib64, "
                                           "/usr/local/Ascend/driver/version.info and /etc/ascend_install.info";
    const std::string_view text = output.ok() ? std::string_view(output->text) : std::string_view();
    if (contains(text, "-8020") || contains(text, "because the device is used")) {
        return fmt::format("another container or process holds the NPUs (npu-smi: ret is -8020). On the host, `cat /proc/uda/namespace_node` "
                           "names its process: stop it, or start this container with other cards or with --privileged. npu-smi says the same "
                           "in a container where {} are not all mapped in", kMappings);
    }
    if (contains(text, "-8005")) {
        return "npu-smi may not open the NPUs (ret is -8005): this user is not in the group HwHiAiUser (add it, then log in anew), the driver "
               "is not loaded, or the machine was not restarted after its driver or firmware was upgraded";
    }
    if (contains(text, "-8008") || contains(text, "no NPU card")) {
        return "the driver finds no NPU (npu-smi: ret is -8008): `lspci -d 19e5:` shows whether the machine sees its cards; in a container, "
               "/dev/davinci_manager, /dev/devmm_svm, /dev/hisi_hdc and the cards' /dev/davinci0… must be mapped in";
    }
    if (contains(text, "DrvMngGetConsoleLogLevel failed") || contains(text, "loading shared libraries")) {
        return fmt::format("npu-smi does not reach the driver ({}); in a container, {} must be mapped in", said("npu-smi", output), kMappings);
    }
    if (!output.ok() && output.error().code == ErrorCode::kNotFound) {
        return fmt::format("there are NPUs but no npu-smi; install the driver, or map {} into the container", kMappings);
    }
    return "npu-smi names no NPU; " + said("npu-smi", output);
}

// The device files say which NPUs there are when npu-smi does not.
Finding without_report(Tools& tools, std::string why) {
    Finding finding;
    std::set<uint64_t> numbers;
    for (const std::string& file : tools.list("/dev")) {
        const std::optional<uint64_t> number = file.starts_with("davinci") ? whole_number(file.substr(7)) : std::nullopt;
        if (number && *number < 4096) {
            numbers.insert(*number);
        }
    }
    for (const uint64_t number : numbers) {
        Device device;
        device.vendor = "ascend";
        device.index = static_cast<uint32_t>(finding.devices.size());
        device.name = "Ascend NPU";
        device.driver_version = driver_version(tools);
        device.details = fmt::format("/dev/davinci{}", number);
        device.problem = why;
        finding.devices.push_back(std::move(device));
    }
    finding.note = std::move(why);
    return finding;
}

Finding probe(Tools& tools) {
    const Result<Tools::Output> output = tools.run({"npu-smi", "info"});
    const Report report = output.ok() ? npu_smi::read_report(output->text) : Report();
    if (report.chips.empty()) {
        return without_report(tools, reason(output));
    }
    const Result<Tools::Output> mapping = tools.run({"npu-smi", "info", "-m"});
    const Places places = mapping.ok() ? npu_smi::read_places(mapping->text) : Places();
    const std::vector<uint32_t> ids = logic_ids(report.chips, places);
    const std::string driver = report.version.empty() ? driver_version(tools) : report.version;
    const std::string runtime = cann_version(tools);
    const Result<std::string> network = tools.read("/etc/hccn.conf");   // "address_0=10.20.0.2": of each NPU's own port, by RoCE
    Finding finding;
    finding.note = report.warning;
    for (size_t i = 0; i < report.chips.size(); ++i) {
        const Chip& chip = report.chips[i];
        std::string name = bare_name(field(chip.first, "Name"));
        const auto place = places.find({chip.npu, chip.chip});
        if (family(name, report.has_physical_ids).empty() && place != places.end()) {
            name = bare_name(place->second.name);
        }
        Device device = device_of(chip, ids[i], name, report.has_physical_ids);
        device.driver_version = driver;
        device.runtime_version = runtime;
        if (network.ok()) device.network_address = readable(value_of(*network, fmt::format("address_{}", device.index)), 64);
        device.numa_node = numa_node(tools, device.bus_address);
        finding.devices.push_back(std::move(device));
    }
    add_links(tools, report.chips, finding.devices);
    std::sort(finding.devices.begin(), finding.devices.end(), [](const Device& a, const Device& b) { return a.index < b.index; });
    return finding;
}

bool present(Tools& tools) {
    return has_device_file(tools, "davinci_manager") || has_device_file(tools, "davinci") || tools.has_program("npu-smi");
}

}  // namespace

const Prober kAscend{"ascend", present, "no /dev/davinci0, and npu-smi is not installed", probe};

}  // namespace gantry::devices
