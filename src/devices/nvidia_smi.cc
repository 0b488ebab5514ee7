// NVIDIA GPUs by nvidia-smi, where NVML can't be loaded. `--query-gpu` of drivers since 450 tells of whole GPUs; fields that a card does
// not have read "[N/A]" or "[Not Supported]". Of the parts of GPUs in MIG mode the query tells nothing: their ids and profiles are in
// `nvidia-smi -L`, their memory and processes in the tables of `nvidia-smi` itself, by the numbers of GPU and part.

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "devices/nvidia.h"
#include "devices/text.h"

namespace gantry::devices {
namespace {

constexpr char kQuery[] =
    "--query-gpu=index,name,uuid,memory.total,memory.used,memory.free,utilization.gpu,temperature.gpu,driver_version,compute_cap,"
    "pci.bus_id,ecc.errors.uncorrected.volatile.total,mig.mode.current";

std::vector<std::string_view> values_of(std::string_view line) {
    std::vector<std::string_view> out;
    while (true) {
        const size_t comma = line.find(',');
        out.push_back(trimmed(line.substr(0, comma)));
        if (comma == std::string_view::npos) return out;
        line.remove_prefix(comma + 1);
    }
}

bool is_value(std::string_view text) { return !text.empty() && !text.starts_with('[') && text != "N/A" && text != "ERR!"; }

// A line's values by the names that the first line gives them; units ("memory.total [MiB]") belong to the values.
using Row = std::map<std::string_view, std::string_view, std::less<>>;

std::vector<Row> rows_of(std::string_view text) {
    std::vector<Row> rows;
    std::vector<std::string_view> names;
    for (const std::string_view line : lines(text)) {
        const auto values = values_of(line);
        if (names.empty()) {
            const bool header = std::any_of(values.begin(), values.end(), [](std::string_view name) { return name == "name"; });
            if (header) names = values;
            continue;
        }
        if (values.size() != names.size()) continue;
        Row row;
        for (size_t i = 0; i < names.size(); ++i) row[trimmed(names[i].substr(0, names[i].find('[')))] = values[i];
        rows.push_back(std::move(row));
    }
    return rows;
}

Device device_of(const Row& row, Tools& tools) {
    const auto at = [&row](std::string_view name) {
        const auto found = row.find(name);
        return found != row.end() && is_value(found->second) ? found->second : std::string_view();
    };
    Device device;
    device.vendor = "nvidia";
    device.index = static_cast<uint32_t>(whole_number(at("index")).value_or(0));
    device.name = readable(at("name"));
    device.uuid = readable(at("uuid"));
    const auto total = byte_size(at("memory.total")), used = byte_size(at("memory.used")), free = byte_size(at("memory.free"));
    if (total && (free || used)) {
        device.memory_total_bytes = *total;
        device.memory_free_bytes = std::min(free ? *free : *total - std::min(*used, *total), *total);
    } else {
        device.problem = "nvidia-smi does not tell its memory: reset it, or restart the machine";
    }
    device.utilization = share(leading_number(at("utilization.gpu")));
    device.temperature_celsius = leading_number(at("temperature.gpu"));
    device.driver_version = readable(at("driver_version"));
    for (const char c : at("compute_cap")) {
        if (c != '.') device.chip += c;
    }
    if (!device.chip.empty()) device.chip = readable("sm_" + device.chip);
    device.bus_address = bus_address(at("pci.bus_id"));
    device.numa_node = numa_node(tools, device.bus_address);
    if (const auto errors = whole_number(at("ecc.errors.uncorrected.volatile.total")); errors && *errors > 0) {
        device.problem = fmt::format("{} uncorrected memory errors since the machine's start: reset the GPU, and replace it if they come back",
                                     *errors);
    }
    return device;
}

void add_processes(Tools& tools, std::vector<Device>& devices) {
    const auto output = tools.run({"nvidia-smi", "--query-compute-apps=gpu_uuid,pid,process_name,used_memory", "--format=csv,noheader,nounits"});
    if (!output || output->status != 0) return;
    for (const std::string_view line : lines(output->text)) {
        const auto values = values_of(line);
        if (values.size() != 4) continue;
        for (Device& device : devices) {
            if (device.uuid != values[0]) continue;
            device.processes.push_back({.pid = static_cast<int64_t>(whole_number(values[1]).value_or(0)),
                                        .name = readable(values[2]),
                                        .memory_bytes = byte_size(values[3]).value_or(0),
                                        .instance_id = {}});
        }
    }
}

// ---- parts (MIG) -----------------------------------------------------------------------------------------------------------

struct Part {
    uint32_t gpu = 0, number = 0;
    std::string profile;             // "1g.10gb"
    std::string uuid;
    std::string gpu_name, gpu_uuid;
};

// "(UUID: MIG-feb88891-…)" at the end of a line.
std::string uuid_of(std::string_view line) {
    const std::string_view word = word_after(line, "(UUID:");
    return readable(word.substr(0, word.find(')')));
}

// `nvidia-smi -L`: "GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-…)", below it "  MIG 1g.10gb     Device  0: (UUID: MIG-…)". A part whose GPU is
// not told is left out.
std::vector<Part> listed_parts(std::string_view text) {
    std::vector<Part> parts;
    std::optional<Part> whole;
    for (const std::string_view line : lines(text)) {
        const std::vector<std::string_view> said = words(line);
        if (said.size() < 4) continue;
        std::string_view number = said[0] == "GPU" ? said[1] : said[0] == "MIG" && said[2] == "Device" ? said[3] : std::string_view();
        if (!number.ends_with(':')) continue;
        number.remove_suffix(1);
        const auto index = whole_number(number);
        if (!index || *index >= kPartsFrom) continue;
        if (said[0] == "GPU") {
            const size_t from = line.find(':') + 1, to = line.find("(UUID:");
            whole = Part{.gpu = static_cast<uint32_t>(*index), .number = 0, .profile = {}, .uuid = {},
                         .gpu_name = to == std::string_view::npos ? std::string() : readable(trimmed(line.substr(from, std::max(from, to) - from))),
                         .gpu_uuid = uuid_of(line)};
        } else if (whole) {
            Part& part = parts.emplace_back(*whole);
            part.number = static_cast<uint32_t>(*index);
            part.profile = readable(said[1]);
            part.uuid = uuid_of(line);
        }
    }
    return parts;
}

struct PartUse {
    std::optional<MemoryUsage> memory;
    std::vector<DeviceProcess> processes;
};
using PartUses = std::map<std::pair<uint32_t, uint32_t>, PartUse>;   // by GPU and part

// The tables of `nvidia-smi`. Parts: "|  2    7   0   0  |   12MiB /  9728MiB  | …", which are GPU, GPU instance, compute instance and part.
// Processes: "|    0    1    0   3808491   C   /opt/python3   24402MiB |", by GPU and both instances.
PartUses tabled_parts(std::string_view text) {
    PartUses uses;
    std::map<std::vector<uint64_t>, std::pair<uint32_t, uint32_t>> of_instances;
    enum { kBefore, kParts, kProcesses } table = kBefore;
    for (const std::string_view line : lines(text)) {
        if (contains(line, "MIG devices:")) table = kParts;
        if (contains(line, "Processes:")) table = kProcesses;
        const std::vector<std::string_view> row = cells(line);
        if (table == kBefore || row.empty()) continue;
        const std::vector<std::string_view> said = words(row[0]);
        std::vector<uint64_t> numbers;
        for (size_t i = 0; i < said.size() && numbers.size() < 4; ++i) {
            const auto number = whole_number(said[i]);
            if (!number) break;
            numbers.push_back(*number);
        }
        if (numbers.size() < 4 || numbers[0] >= kPartsFrom) continue;
        const std::vector<uint64_t> instances(numbers.begin(), numbers.begin() + 3);
        if (table == kParts && row.size() > 1 && numbers[3] < kPartsFrom) {
            const std::pair part(static_cast<uint32_t>(numbers[0]), static_cast<uint32_t>(numbers[3]));
            uses[part].memory = memory_usage(row[1]);
            of_instances[instances] = part;
        } else if (table == kProcesses && said.size() >= 7 && of_instances.contains(instances)) {
            uses[of_instances[instances]].processes.push_back({.pid = static_cast<int64_t>(numbers[3]),
                                                               .name = readable(said[5]),
                                                               .memory_bytes = byte_size(said.back()).value_or(0),
                                                               .instance_id = {}});
        }
    }
    return uses;
}

// A part as NVML tells it (nvidia.cc); what its GPU says of itself counts for it too.
Device device_of(const Part& part, const Device* whole, const PartUse& use) {
    Device device;
    if (whole != nullptr) device = *whole;
    device.vendor = "nvidia";
    device.index = kPartsFrom * (part.gpu + 1) + part.number;
    device.name = fmt::format("{} MIG {}", part.gpu_name, part.profile);
    device.uuid = part.uuid;
    device.partition = fmt::format("{} {}", part.gpu_uuid, part.profile);
    device.utilization = 0;   // of the whole alone, and there it reads [N/A]
    device.memory_total_bytes = device.memory_free_bytes = 0;
    device.processes = use.processes;
    const std::string problem = device.problem;
    device.problem.clear();
    set_memory(device, use.memory, "nvidia-smi");
    if (!problem.empty()) device.problem = problem;
    return device;
}

// Puts parts in the place of the GPUs in MIG mode.
void split_into_parts(Tools& tools, const std::set<std::string>& in_mig_mode, Finding& finding) {
    const auto list = tools.run({"nvidia-smi", "-L"});
    const std::vector<Part> parts = list ? listed_parts(list->text) : std::vector<Part>();
    PartUses uses;
    if (!parts.empty()) {
        const auto tables = tools.run({"nvidia-smi"});
        if (tables) uses = tabled_parts(tables->text);
    }
    std::vector<Device> found;
    std::set<std::string> split;
    for (const Part& part : parts) {
        const auto whole = std::find_if(finding.devices.begin(), finding.devices.end(),
                                        [&](const Device& device) { return device.uuid == part.gpu_uuid && !device.uuid.empty(); });
        found.push_back(device_of(part, whole != finding.devices.end() ? &*whole : nullptr, uses[{part.gpu, part.number}]));
        split.insert(part.gpu_uuid);
    }
    std::erase_if(finding.devices, [&](const Device& device) { return split.contains(device.uuid); });
    for (Device& device : finding.devices) {
        if (in_mig_mode.contains(device.uuid)) {
            device.problem = "it is in MIG mode, and nvidia-smi -L lists no part of it: make some (nvidia-smi mig -cgi PROFILE -C), or end the "
                             "mode (nvidia-smi -mig 0)";
        }
    }
    finding.devices.insert(finding.devices.end(), std::make_move_iterator(found.begin()), std::make_move_iterator(found.end()));
}

}  // namespace

Finding probe_nvidia_smi(Tools& tools) {
    Finding finding;
    std::set<std::string> in_mig_mode;
    bool tells_mode = false;
    const auto output = tools.run({"nvidia-smi", kQuery, "--format=csv"});
    if (output) {
        for (const Row& row : rows_of(output->text)) {
            Device device = device_of(row, tools);
            if (!row.contains("index")) device.index = static_cast<uint32_t>(finding.devices.size());
            const auto mode = row.find("mig.mode.current");
            tells_mode = tells_mode || mode != row.end();
            if (mode != row.end() && mode->second == "Enabled") in_mig_mode.insert(device.uuid);
            finding.devices.push_back(std::move(device));
        }
    }
    if (!in_mig_mode.empty() || !tells_mode) split_into_parts(tools, in_mig_mode, finding);
    if (finding.devices.empty()) finding.note = said("nvidia-smi", output);
    add_processes(tools, finding.devices);
    return finding;
}

}  // namespace gantry::devices
