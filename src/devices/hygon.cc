// Hygon DCU, as `hy-smi --json` (rocm-smi in older DTK) and `rocminfo` show it. HIP_VISIBLE_DEVICES takes the N of "cardN": it is the
// index. hy-smi's JSON lacks commas between some members in some versions, so its text is searched for pairs instead of parsed.
// DTK is a fork of ROCm: its rocm-smi would also answer AMD's prober, which tells it by its words "DCU" and "HCU".

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "devices/text.h"

namespace gantry::devices {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

// "card0": {"Card Series": "BW", "vram Total Memory (MiB)": "65520", …}: the pairs of each card.
std::map<uint32_t, Pairs> pairs_by_card(std::string_view text) {
    std::map<uint32_t, Pairs> cards;
    std::optional<uint32_t> card;
    std::string key;
    bool has_key = false;
    for (size_t at = text.find('"'); at != std::string_view::npos; at = text.find('"', at)) {
        const size_t end = text.find('"', at + 1);
        if (end == std::string_view::npos) {
            break;
        }
        const std::string_view word = text.substr(at + 1, end - at - 1);
        at = end + 1;
        const std::string_view behind = trimmed(text.substr(at, 64));
        if (!has_key && !behind.empty() && behind.front() == ':') {
            key = word;
            const std::string_view value = trimmed(behind.substr(1));
            if (!value.empty() && value.front() == '{') {
                const std::optional<uint64_t> number = word.substr(0, 4) == "card" ? whole_number(word.substr(4)) : std::nullopt;
                card = number && *number < 4096 ? std::optional(static_cast<uint32_t>(*number)) : std::nullopt;
                if (card) {
                    cards[*card];
                }
            } else if (!value.empty() && value.front() == '"') {
                has_key = true;
            } else if (card) {   // a number without quotes
                cards[*card].emplace_back(key, std::string(value.substr(0, value.find_first_of(",}\n \""))));
            }
        } else if (has_key) {
            has_key = false;
            if (card) {
                cards[*card].emplace_back(key, std::string(word));
            }
        }
    }
    return cards;
}

// The value of the first key that has all of these in it. The names differ by version: "DCU use (%)", "HCU use (%)".
std::string value_of(const Pairs& pairs, std::initializer_list<std::string_view> parts) {
    for (const auto& [key, value] : pairs) {
        if (std::all_of(parts.begin(), parts.end(), [&key = key](std::string_view part) { return contains(key, part); })) {
            return value;
        }
    }
    return "";
}

std::optional<uint64_t> memory_of(const Pairs& pairs, std::string_view name) {
    for (const auto& [key, value] : pairs) {
        if (contains(key, name)) {   // "vram Total Memory (MiB)", "VRAM Total Memory (B)"
            return byte_size(value, contains(key, "(B)") ? 1 : kMebibyte);
        }
    }
    return std::nullopt;
}

struct Agent {
    std::string architecture;   // "gfx928"
    std::string uuid;           // "GPU-7100fa8866904061"
};

// The accelerators that rocminfo lists, in HIP's order.
std::vector<Agent> agents(Tools& tools) {
    std::vector<Agent> found;
    const Result<Tools::Output> output = tools.run({"rocminfo"});
    Agent agent;
    for (const std::string_view line : output.ok() ? lines(output->text) : std::vector<std::string_view>()) {
        const std::string_view text = trimmed(line);
        if (text.substr(0, 6) == "Agent ") {
            agent = Agent();
        } else if (text.substr(0, 5) == "Name:" && agent.architecture.empty()) {
            agent.architecture = readable(word_after(text, "Name:"), 32);
        } else if (text.substr(0, 5) == "Uuid:") {
            agent.uuid = readable(word_after(text, "Uuid:"), 64);
        } else if (text.substr(0, 12) == "Device Type:" && (contains(text, "DCU") || contains(text, "GPU"))) {
            found.push_back(agent);
        }
    }
    return found;
}

Device device_of(uint32_t index, const Pairs& pairs) {
    Device device;
    device.vendor = "hygon";
    device.index = index;
    const std::string series = value_of(pairs, {"Card Series"});
    device.name = "Hygon " + (series.empty() ? "DCU" : readable(series, 64));
    device.uuid = readable(value_of(pairs, {"Unique ID"}), 64);
    device.bus_address = bus_address(value_of(pairs, {"PCI Bus"}));
    device.temperature_celsius = leading_number(value_of(pairs, {"Temperature", "edge"}));
    device.utilization = share(leading_number(value_of(pairs, {"CU use (%)"})));
    const std::optional<uint64_t> total = memory_of(pairs, "Total Memory (");
    const std::optional<uint64_t> used = memory_of(pairs, "Total Used Memory (");
    set_memory(device, total && used ? std::optional(MemoryUsage{*used, *total}) : std::nullopt, "hy-smi");
    return device;
}

// The table that hy-smi prints without options: load, but no sizes.
//   HCU     Temp     AvgPwr     Perf     PwrCap     VRAM%      HCU%      Dec%      Enc%      Mode
std::vector<Device> read_table(std::string_view text) {
    std::vector<Device> devices;
    std::vector<std::string_view> names;
    for (const std::string_view line : lines(text)) {
        const std::vector<std::string_view> row = words(line);
        if (contains(line, "VRAM%")) {
            names = row;
            continue;
        }
        const std::optional<uint64_t> index = row.empty() ? std::nullopt : whole_number(row[0]);
        if (names.empty() || !index || *index > 4096) {
            continue;
        }
        Device device;
        device.vendor = "hygon";
        device.index = static_cast<uint32_t>(*index);
        device.name = "Hygon DCU";
        device.problem = "hy-smi shows its load but not how much memory it has; update DTK, whose hy-smi has --showmeminfo and --json";
        for (size_t i = 1; i < names.size() && i < row.size(); ++i) {
            if (names[i] == "Temp") {
                device.temperature_celsius = leading_number(row[i]);
            } else if (names[i] == "DCU%" || names[i] == "HCU%") {
                device.utilization = share(leading_number(row[i]));
            } else if (names[i] == "VRAM%") {
                device.details = fmt::format("{} of its memory is used", readable(row[i], 16));
            }
        }
        devices.push_back(std::move(device));
    }
    return devices;
}

std::string first_line_of(Tools& tools, std::initializer_list<const char*> files) {
    for (const char* file : files) {
        const Result<std::string> text = tools.read(file);
        const std::vector<std::string_view> found = text.ok() ? lines(*text) : std::vector<std::string_view>();
        if (!found.empty() && !trimmed(found[0]).empty()) {
            return readable(found[0], 64);
        }
    }
    return "";
}

void add_identities(Tools& tools, std::vector<Device>& devices) {
    const std::vector<Agent> known = agents(tools);
    const std::string driver = first_line_of(tools, {"/sys/module/hydcu/version", "/sys/module/hycu/version"});
    const std::string dtk = first_line_of(tools, {"/opt/dtk/.info/version"});
    for (size_t i = 0; i < devices.size(); ++i) {
        Device& device = devices[i];
        for (size_t j = 0; j < known.size(); ++j) {
            const bool same = device.uuid.empty() || known[j].uuid.empty() ? i == j : known[j].uuid == "GPU-" + device.uuid;
            device.chip = same ? known[j].architecture : device.chip;
        }
        device.driver_version = driver;
        device.runtime_version = dtk.empty() ? "" : "DTK " + dtk;
        device.numa_node = numa_node(tools, device.bus_address);
    }
}

Finding probe(Tools& tools) {
    const std::string tool = tools.has_program("hy-smi") ? "hy-smi" : "rocm-smi";
    const Result<Tools::Output> output = tools.run({tool, "-i", "--showproductname", "--showuniqueid", "--showbus", "--showmeminfo", "vram",
                                                    "--showuse", "--showtemp", "--json"});
    Finding finding;
    for (const auto& [index, pairs] : pairs_by_card(output.ok() ? output->text : "")) {
        finding.devices.push_back(device_of(index, pairs));
    }
    Result<Tools::Output> table = output;
    if (finding.devices.empty()) {   // an option that this version does not know
        table = tools.run({tool});
        finding.devices = read_table(table.ok() ? table->text : "");
    }
    add_identities(tools, finding.devices);
    if (finding.devices.empty() && !table.ok() && table.error().code == ErrorCode::kNotFound) {
        finding.note = "there are Hygon DCUs but no hy-smi; install the driver, or map /opt/hyhal into the container";
    } else if (finding.devices.empty()) {
        finding.note = fmt::format("{} names no DCU; {}. Is the driver loaded (`lsmod | grep hydcu`), are /dev/kfd, /dev/mkfd and /dev/dri "
                                   "there, and is /opt/hyhal mapped into the container?", tool, said(tool, table));
    }
    return finding;
}

bool present(Tools& tools) {
    return tools.has_program("hy-smi") ||
           (has_device_file(tools, "kfd") && (!tools.list("/opt/hyhal").empty() || !tools.list("/opt/dtk").empty()));
}

}  // namespace

const Prober kHygon{"hygon", present, "no /dev/kfd with /opt/hyhal or /opt/dtk, and hy-smi is not installed", probe};

}  // namespace gantry::devices
