#include "engine/host_limits.h"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <string>

namespace gantry::engine {
namespace {

// The process's cgroup v2 path ("0::/a/b"), or empty.
std::string own_cgroup() {
    std::ifstream file("/proc/self/cgroup");
    for (std::string line; std::getline(file, line);) {
        if (line.rfind("0::", 0) == 0) {
            return line.substr(3);
        }
    }
    return {};
}

std::optional<uint64_t> read_number(const std::string& path, const std::string& key = {}) {
    std::ifstream file(path);
    for (std::string word; file >> word;) {
        if (!key.empty()) {
            if (word != key) {
                continue;
            }
            file >> word;
        }
        if (word.empty() || word.find_first_not_of("0123456789") != std::string::npos || word.size() > 18) {
            return std::nullopt;   // "max", or something we don't know
        }
        return std::stoull(word);
    }
    return std::nullopt;
}

// Calls `visit` with the folder of the process's cgroup and of each one above it: any of them may limit.
template <class Visit>
void for_each_cgroup(Visit visit) {
    std::string path = own_cgroup();
    for (;;) {
        visit("/sys/fs/cgroup" + path);
        const size_t slash = path.rfind('/');
        if (path.empty() || slash == std::string::npos) {
            return;
        }
        path.resize(slash);
    }
}

}  // namespace

uint32_t usable_cores() {
    cpu_set_t set;
    CPU_ZERO(&set);
    uint32_t cores = 1;
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        cores = static_cast<uint32_t>(std::max(1, CPU_COUNT(&set)));
    }
    for_each_cgroup([&](const std::string& folder) {
        std::ifstream file(folder + "/cpu.max");
        std::string quota;
        uint64_t period = 0;
        if (file >> quota >> period && quota != "max" && period > 0 && quota.size() < 16 &&
            quota.find_first_not_of("0123456789") == std::string::npos) {
            cores = std::min(cores, static_cast<uint32_t>(std::max<uint64_t>(1, (std::stoull(quota) + period - 1) / period)));
        }
    });
    return cores;
}

uint64_t available_memory_bytes() {
    uint64_t available = std::numeric_limits<uint64_t>::max();
    if (const auto kib = read_number("/proc/meminfo", "MemAvailable:")) {
        available = *kib * 1024;
    }
    for_each_cgroup([&](const std::string& folder) {
        const auto limit = read_number(folder + "/memory.max");
        const auto used = read_number(folder + "/memory.current");
        if (limit && used) {
            // File pages that nobody uses come free on demand, as MemAvailable counts them too.
            const uint64_t idle_files = read_number(folder + "/memory.stat", "inactive_file").value_or(0);
            const uint64_t held = *used - std::min(*used, idle_files);
            available = std::min(available, *limit - std::min(*limit, held));
        }
    });
    return available;
}

}  // namespace gantry::engine
