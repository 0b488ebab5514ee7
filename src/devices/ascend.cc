// Huawei Ascend, as `npu-smi info`, `npu-smi info -m` and `npu-smi info -t topo` show it. What npu-smi calls an NPU is a card of one
// chip or two; a device here is a chip. ASCEND_RT_VISIBLE_DEVICES takes the chip's logic id, which only -m tells: it is the index.
// The table differs by driver (20 to 26) and by chip, so cells are read by the names in its two header lines:
//   910A, 910B   | NPU   Name | Health | Power(W) Temp(C) Hugepages-Usage(page) |
//                | Chip       | Bus-Id | AICore(%) Memory-Usage(MB) HBM-Usage(MB) |
//   910C         | Chip Phy-ID | …        two chips a card, both named "Ascend910"
//   310, 310P    | Chip Device | Bus-Id | AICore(%) Memory-Usage(MB) |      one or more chips a card, no HBM
//   950          | NPU ID | Name | Health | …   and below   |    |    | Bus-Id | NPU Util(%) Memory-Usage(MB) …
// The words of Health and the ret codes: https://gitcode.com/Ascend/driver, npu_smi and dcmi_interface_api.h.

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <utility>

#include "devices/text.h"

namespace gantry::devices {
namespace {

constexpr uint64_t kGibibyte = 1u << 30;

using Names = std::vector<std::vector<std::string>>;             // of a header line, a list a cell
using Row = std::map<std::string, std::string, std::less<>>;     // name in the header -> what stands there

struct Chip {
    uint32_t npu = 0;
    uint32_t chip = 0;
    Row first;       // of the NPU's line
    Row second;      // of the chip's line; empty: the answer ends before it
    std::vector<DeviceProcess> processes;
};

struct Report {
    std::string version;
    std::string warning;             // npu-smi's own, below the tables
    bool has_physical_ids = false;   // only printed for the 910C, whose chips have no name of their own
    std::vector<Chip> chips;
};

struct Place {
    uint32_t logic_id = 0;
    std::string name;
};
using Places = std::map<std::pair<uint32_t, uint32_t>, Place>;   // by NPU and chip

std::string field(const Row& row, std::string_view name) {
    const auto found = row.find(name);
    return found == row.end() ? "" : found->second;
}

std::optional<uint32_t> small_number(std::string_view text) {
    const std::optional<uint64_t> number = whole_number(text);
    return number && *number < 1'000'000 ? std::optional(static_cast<uint32_t>(*number)) : std::nullopt;
}

Names names_in(const std::vector<std::string_view>& parts) {
    Names names;
    for (const std::string_view part : parts) {
        if (part == "NPU ID") {
            names.push_back({"NPU"});
            continue;
        }
        std::vector<std::string> in_cell;
        for (const std::string_view word : words(part)) {
            if (word == "Util(%)" && !in_cell.empty()) {
                in_cell.back() = "AICore(%)";   // the 950's "NPU Util(%)"
            } else {
                in_cell.emplace_back(word);
            }
        }
        names.push_back(std::move(in_cell));
    }
    return names;
}

Row row_of(const Names& names, const std::vector<std::string_view>& parts) {
    Row row;
    for (size_t cell = 0; cell < names.size() && cell < parts.size(); ++cell) {
        const std::vector<std::string> found = fields(parts[cell]);
        for (size_t i = 0; i < names[cell].size() && i < found.size(); ++i) {
            row[names[cell][i]] = found[i];
        }
        for (size_t i = names[cell].size(); i < found.size() && !names[cell].empty(); ++i) {
            row[names[cell].back()] += " " + found[i];   // the last one may be of several words
        }
    }
    return row;
}

// | NPU     Chip  | Process id | Process name | Process memory(MB) |
void add_process(Report& report, const std::vector<std::string_view>& parts) {
    const std::vector<std::string_view> where = words(parts[0]);
    const std::optional<uint32_t> npu = where.empty() ? std::nullopt : small_number(where[0]);
    const std::optional<uint32_t> chip = where.size() < 2 ? std::optional(0u) : small_number(where[1]);
    const std::optional<uint64_t> pid = whole_number(parts[1]);
    const std::optional<uint64_t> memory = whole_number(parts[3]);
    for (Chip& of : report.chips) {
        if (npu == of.npu && chip == of.chip && pid && memory && *memory < (1u << 24)) {
            of.processes.push_back({.pid = static_cast<int64_t>(*pid), .name = readable(parts[2], 64), .memory_bytes = *memory * kMebibyte,
                                    .instance_id = {}});
        }
    }
}

class ReportReader {
public:
    Report read(std::string_view text) {
        for (const std::string_view line : lines(text)) {
            const std::vector<std::string_view> parts = cells(line);
            if (report_.version.empty() && contains(line, "npu-smi") && contains(line, "Version:")) {
                report_.version = readable(word_after(line, "Version:"), 64);
            } else if (line.substr(0, 9) == "[WARNING]") {
                report_.warning = "npu-smi warns: " + readable(line.substr(9));
            } else if (contains(line, "Process id")) {
                finish_chip();
                processes_ = true;
            } else if (contains(line, "Health") && contains(line, "NPU")) {
                first_names_ = names_in(parts);
            } else if (contains(line, "Bus-Id")) {
                second_names_ = names_in(parts);
                report_.has_physical_ids = contains(line, "Phy-ID");
            } else if (processes_ && parts.size() >= 4) {
                add_process(report_, parts);
            } else if (!processes_ && parts.size() >= 3 && !first_names_.empty()) {
                add_row(parts);
            }
        }
        finish_chip();
        return std::move(report_);
    }

private:
    void add_row(const std::vector<std::string_view>& parts) {
        const size_t bus_cell = second_names_.size() < 2 ? 1 : second_names_.size() - 2;
        const std::string_view bus = bus_cell < parts.size() ? parts[bus_cell] : parts[1];
        if (contains(bus, ":") || (half_ && bus == "NA")) {
            if (half_) {
                half_->second = row_of(second_names_, parts);
                half_->chip = small_number(field(half_->second, "Chip")).value_or(0);
                finish_chip();
            }
            return;
        }
        finish_chip();
        Chip chip;
        chip.first = row_of(first_names_, parts);
        if (const std::optional<uint32_t> npu = small_number(field(chip.first, "NPU")); npu && !field(chip.first, "Health").empty()) {
            chip.npu = *npu;
            half_ = std::move(chip);
        }
    }

    void finish_chip() {
        if (half_) {
            report_.chips.push_back(std::move(*half_));
            half_.reset();
        }
    }

    Report report_;
    Names first_names_;
    Names second_names_;
    std::optional<Chip> half_;   // its first line is read
    bool processes_ = false;
};

// NPU ID    Chip ID    Chip Logic ID    [Chip Phy-ID]    Chip Name
Places read_places(Tools& tools) {
    Places places;
    const Result<Tools::Output> output = tools.run({"npu-smi", "info", "-m"});
    std::vector<std::string_view> names;
    for (const std::string_view line : output.ok() ? lines(output->text) : std::vector<std::string_view>()) {
        const std::vector<std::string_view> values = columns(line);
        if (contains(line, "Chip Logic ID")) {
            names = values;
            continue;
        }
        Row row;
        for (size_t i = 0; i < names.size() && i < values.size(); ++i) {
            row[std::string(names[i])] = readable(values[i], 64);
        }
        const std::optional<uint32_t> npu = small_number(field(row, "NPU ID"));
        const std::optional<uint32_t> chip = small_number(field(row, "Chip ID"));
        const std::optional<uint32_t> logic_id = small_number(field(row, "Chip Logic ID"));
        if (npu && chip && logic_id) {   // the card's own controller, "Mcu", has none: "-"
            places[{*npu, *chip}] = Place{*logic_id, field(row, "Chip Name")};
        }
    }
    return places;
}

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
    Report report = output.ok() ? ReportReader().read(output->text) : Report();
    if (report.chips.empty()) {
        return without_report(tools, reason(output));
    }
    std::stable_sort(report.chips.begin(), report.chips.end(),
                     [](const Chip& a, const Chip& b) { return std::pair(a.npu, a.chip) < std::pair(b.npu, b.chip); });
    const Places places = read_places(tools);
    const std::vector<uint32_t> ids = logic_ids(report.chips, places);
    const std::string driver = report.version.empty() ? driver_version(tools) : report.version;
    const std::string runtime = cann_version(tools);
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
