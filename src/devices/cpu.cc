#include "devices/cpu.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <sstream>
#include <vector>

#include "base/platform/files.h"
#include "base/platform/memory.h"
#include "devices/text.h"

namespace gantry::devices {
namespace {

// What matters for an engine's kernels, in the kernel's spelling and in the one people know.
struct InstructionSet {
    const char* flag;
    const char* name;
};
constexpr InstructionSet kInstructionSets[] = {
    {"avx2", "AVX2"},           {"fma", "FMA"},           {"f16c", "F16C"},
    {"avx512f", "AVX512"},      {"avx_vnni", "AVX-VNNI"}, {"avx512_vnni", "AVX512-VNNI"},
    {"avx512_bf16", "AVX512-BF16"}, {"avx512_fp16", "AVX512-FP16"}, {"amx_int8", "AMX-INT8"},
    {"amx_bf16", "AMX-BF16"},   {"asimd", "NEON"},        {"asimddp", "DOTPROD"},
    {"i8mm", "I8MM"},           {"sve", "SVE"},           {"bf16", "BF16"},
};

struct CpuInfo {
    std::string name;
    std::vector<std::string> flags;
};

CpuInfo read_cpuinfo(const std::string& root) {
    CpuInfo info;
    // A machine of some hundred cores writes some hundred times 2 KB; the first core says all that is needed.
    const Result<std::string> text = platform::read_file(root + "/proc/cpuinfo", 16u << 20);
    std::istringstream lines(text.ok() ? *text : "");
    for (std::string line; std::getline(lines, line) && (info.name.empty() || info.flags.empty());) {
        const size_t colon = line.find(':');
        if (colon == std::string::npos) {
            continue;
        }
        const std::string key(trimmed(std::string_view(line).substr(0, colon)));
        const std::string value(trimmed(std::string_view(line).substr(colon + 1)));
        if ((key == "model name" || key == "Model") && info.name.empty()) {
            info.name = value;
        } else if ((key == "flags" || key == "Features") && info.flags.empty()) {
            std::istringstream words(value);
            for (std::string word; words >> word;) {
                info.flags.push_back(word);
            }
        }
    }
    return info;
}

std::string instruction_sets(const CpuInfo& info) {
    std::string out;
    for (const InstructionSet& set : kInstructionSets) {
        if (std::find(info.flags.begin(), info.flags.end(), set.flag) != info.flags.end()) {
            out += (out.empty() ? "" : " ") + std::string(set.name);
        }
    }
    return out;
}

constexpr uint32_t kNodesMax = 1024, kCoresMax = 1u << 20;   // more than Linux is built for

// "0-31,64-95": 64. A part that is no range counts as nothing.
uint32_t count_of(std::string_view list) {
    uint64_t count = 0;
    while (!list.empty()) {
        const size_t comma = std::min(list.find(','), list.size());
        const std::string_view range = list.substr(0, comma);
        const size_t dash = range.find('-');
        const auto first = whole_number(range.substr(0, dash));
        const auto last = dash == std::string_view::npos ? first : whole_number(range.substr(dash + 1));
        if (first && last && *first <= *last && *last < kCoresMax) count += *last - *first + 1;
        list.remove_prefix(std::min(comma + 1, list.size()));
    }
    return static_cast<uint32_t>(std::min<uint64_t>(count, kCoresMax));
}

// "Node 0 MemTotal:       131811028 kB"
std::optional<uint64_t> kib_after(const Result<std::string>& meminfo, const char* label) {
    const auto kib = meminfo ? whole_number(word_after(*meminfo, label)) : std::nullopt;
    return kib ? std::optional(*kib * 1024) : std::nullopt;
}

// Of the whole machine, whatever a control group leaves of it. None where there is one node, or none that can be read.
std::vector<NumaNode> numa_nodes(const std::string& root) {
    const std::string folder = root + "/sys/devices/system/node";
    std::vector<NumaNode> nodes;
    std::error_code failed;
    for (std::filesystem::directory_iterator entry(folder, failed), end; !failed && entry != end; entry.increment(failed)) {
        const std::string name = entry->path().filename().string();
        const auto number = name.starts_with("node") ? whole_number(std::string_view(name).substr(4)) : std::nullopt;
        if (!number || *number >= kNodesMax) continue;
        const auto read = [&](const char* file) { return platform::read_file(entry->path() / file, 64u << 10); };
        const auto cores = read("cpulist"), memory = read("meminfo"), distances = read("distance");
        NumaNode& node = nodes.emplace_back(NumaNode{.node = static_cast<uint32_t>(*number)});
        node.cores = cores ? readable(trimmed(*cores)) : std::string();
        if (cores) node.core_count = count_of(trimmed(*cores));
        node.memory_total_bytes = kib_after(memory, "MemTotal:");
        node.memory_free_bytes = kib_after(memory, "MemFree:");
        const std::string text = distances ? *distances : std::string();
        for (const std::string_view word : words(text)) {
            node.distances.push_back(static_cast<uint32_t>(std::min<uint64_t>(whole_number(word).value_or(0), 255)));
        }
    }
    std::sort(nodes.begin(), nodes.end(), [](const NumaNode& a, const NumaNode& b) { return a.node < b.node; });
    if (nodes.size() < 2) return {};
    for (NumaNode& node : nodes) {
        if (node.distances.size() != nodes.size()) node.distances.clear();   // not of these nodes
    }
    return nodes;
}

}  // namespace

Device CpuProber::probe() {
    if (name_.empty()) {
        // Read once: on a machine of many cores the kernel measures each one's clock for this file, which takes its time.
        const CpuInfo info = read_cpuinfo(root_);
        name_ = info.name.empty() ? "CPU" : info.name;
        details_ = instruction_sets(info);
    }
    const platform::MemoryFigures memory = platform::memory_figures(root_);
    Device device;
    device.vendor = "cpu";
    device.name = name_;
    device.memory_total_bytes = memory.total_bytes;
    device.memory_free_bytes = memory.available_bytes;
    device.cores = affinity_cores_ == 0 ? platform::usable_cores() : platform::cores_within_quota(affinity_cores_, root_);
    device.utilization = utilization();
    device.details = details_;
    device.numa_nodes = numa_nodes(root_);
    if (memory.total_bytes == 0) {
        device.problem = "this machine does not say how much memory it has";
    }
    return device;
}

double CpuProber::utilization() {
    const Result<std::string> text = platform::read_file(root_ + "/proc/stat", 4u << 20);
    std::istringstream line(text.ok() ? text->substr(0, text->find('\n')) : "");
    std::string word;
    line >> word;
    if (word != "cpu") {
        return 0;
    }
    // user nice system idle iowait irq softirq steal; guest times are counted in user already.
    uint64_t total = 0;
    uint64_t idle = 0;
    uint64_t value = 0;
    for (int field = 0; field < 8 && (line >> value); ++field) {
        total += value;
        idle += field == 3 || field == 4 ? value : 0;
    }
    const uint64_t busy = total - idle;
    const bool first = last_total_ == 0;
    // iowait may go backwards; nothing then, rather than a number below zero.
    const uint64_t elapsed = total > last_total_ ? total - last_total_ : 0;
    const uint64_t worked = busy > last_busy_ ? busy - last_busy_ : 0;
    last_total_ = total;
    last_busy_ = busy;
    return first || elapsed == 0 ? 0 : std::min(1.0, static_cast<double>(worked) / static_cast<double>(elapsed));
}

}  // namespace gantry::devices
