#include "devices/cpu.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
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

// "NUMA node 0: cores 0-31, 125.7 GiB; node 1: …": of the whole machine, whatever a control group leaves of it. Empty where there is one.
std::string numa_nodes(const std::string& root) {
    const std::string folder = root + "/sys/devices/system/node";
    std::map<uint64_t, std::string> nodes;
    std::error_code failed;
    for (std::filesystem::directory_iterator entry(folder, failed), end; !failed && entry != end; entry.increment(failed)) {
        const std::string name = entry->path().filename().string();
        const auto number = name.starts_with("node") ? whole_number(std::string_view(name).substr(4)) : std::nullopt;
        if (!number) continue;
        const auto cores = platform::read_file(entry->path() / "cpulist", 64u << 10);
        const auto memory = platform::read_file(entry->path() / "meminfo", 64u << 10);   // "Node 0 MemTotal:  131811028 kB"
        const auto kib = memory ? whole_number(word_after(*memory, "MemTotal:")) : std::nullopt;
        const std::string_view list = cores ? trimmed(*cores) : std::string_view();
        nodes[*number] = fmt::format("{}, {}", list.empty() ? "no cores" : "cores " + readable(list, 100),
                                     !kib ? "memory unknown" : *kib == 0 ? "no memory" : size_text(*kib * 1024));
    }
    std::string out;
    if (nodes.size() < 2) return out;
    for (const auto& [number, text] : nodes) {
        out += fmt::format("{} {}: {}", out.empty() ? "NUMA node" : "; node", number, text);
    }
    return readable(out, 1'000);
}

}  // namespace

Device CpuProber::probe() {
    if (name_.empty()) {
        // Read once: on a machine of many cores the kernel measures each one's clock for this file, which takes its time.
        const CpuInfo info = read_cpuinfo(root_);
        name_ = info.name.empty() ? "CPU" : info.name;
        details_ = instruction_sets(info);
        const std::string nodes = numa_nodes(root_);
        if (!nodes.empty()) details_ += (details_.empty() ? "" : "; ") + nodes;
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
