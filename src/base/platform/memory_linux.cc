#include "base/platform/memory.h"

#include <malloc.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <functional>
#include <limits>
#include <optional>
#include <sstream>
#include <string_view>
#include <vector>

#include "base/platform/files.h"

namespace gantry::platform {
namespace {

std::string text_of(const std::string& path) {
    const Result<std::string> text = read_file(path);
    return text.ok() ? *text : std::string();
}

std::optional<uint64_t> number_at(std::string_view text) {
    const size_t start = text.find_first_not_of(" \t\n");
    if (start == std::string_view::npos) {
        return std::nullopt;
    }
    uint64_t value = 0;
    const auto parsed = std::from_chars(text.data() + start, text.data() + text.size(), value);
    return parsed.ec == std::errc() ? std::optional(value) : std::nullopt;
}

// The number after `key` at the start of a line: "MemTotal:  24684084 kB", "oom_kill 3".
std::optional<uint64_t> field(std::string_view text, std::string_view key) {
    size_t at = 0;
    while (at < text.size()) {
        const size_t end = std::min(text.find('\n', at), text.size());
        const std::string_view line = text.substr(at, end - at);
        if (line.starts_with(key) && line.size() > key.size() && (line[key.size()] == ' ' || line[key.size()] == ':')) {
            return number_at(line.substr(key.size() + 1));
        }
        at = end + 1;
    }
    return std::nullopt;
}

// This process's group and all groups around it, innermost first, as folders. `controller` empty: the unified hierarchy.
std::vector<std::string> groups(const std::string& root, const std::string& controller) {
    std::istringstream lines(text_of(root + "/proc/self/cgroup"));
    std::string path;
    bool found = false;
    for (std::string line; std::getline(lines, line);) {
        const size_t first = line.find(':');
        const size_t second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos) {
            continue;
        }
        const std::string names = "," + line.substr(first + 1, second - first - 1) + ",";
        if (controller.empty() ? names == ",," : names.find("," + controller + ",") != std::string::npos) {
            path = line.substr(second + 1);
            found = true;
        }
    }
    std::vector<std::string> folders;
    if (!found) {
        return folders;
    }
    const std::string base = root + "/sys/fs/cgroup" + (controller.empty() ? "" : "/" + controller);
    // In a container without a namespace of its own the path is the host's and does not exist here; the loop then ends at the
    // root of the mount, which is the container's group.
    while (!path.empty() && path != "/") {
        folders.push_back(base + path);
        path.resize(path.rfind('/'));
    }
    folders.push_back(base);
    return folders;
}

struct GroupFiles {
    const char* controller;
    const char* limit;
    const char* usage;
    const char* reclaimable;  // in memory.stat
    const char* in_use;       // there, too: of files that are read again and again, such as a model's that is mapped
};
// From how many bytes a block is mapped for itself (to map one costs less than to write it), and how many free ones may stay at the
// top of the heap.
constexpr int kOwnMappingBytes = 4 << 20;
constexpr int kKeptFreeBytes = 8 << 20;

constexpr GroupFiles kMemoryFiles[] = {
    {"", "/memory.max", "/memory.current", "inactive_file", "active_file"},
    {"memory", "/memory.limit_in_bytes", "/memory.usage_in_bytes", "total_inactive_file", "total_active_file"},
};

// Quota in cores of one group, or nothing when it has none.
std::optional<double> quota_unified(const std::string& folder) {
    const std::string text = text_of(folder + "/cpu.max");  // "max 100000" or "150000 100000"
    const std::optional<uint64_t> quota = number_at(text);
    const size_t space = text.find(' ');
    if (!quota || space == std::string::npos) {
        return std::nullopt;
    }
    const uint64_t period = number_at(std::string_view(text).substr(space)).value_or(100'000);
    return period == 0 ? std::nullopt : std::optional(static_cast<double>(*quota) / static_cast<double>(period));
}

std::optional<double> quota_v1(const std::string& folder) {
    const std::optional<uint64_t> quota = number_at(text_of(folder + "/cpu.cfs_quota_us"));  // -1: none
    const std::optional<uint64_t> period = number_at(text_of(folder + "/cpu.cfs_period_us"));
    if (!quota || !period || *period == 0) {
        return std::nullopt;
    }
    return static_cast<double>(*quota) / static_cast<double>(*period);
}

// The whole pages in some memory: none where it ends before it begins.
struct WholePages {
    WholePages(const void* begin, size_t size) {
        const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
        first = (reinterpret_cast<uintptr_t>(begin) + page - 1) / page * page;
        last = (reinterpret_cast<uintptr_t>(begin) + size) / page * page;
    }
    bool advise(int advice) const { return first < last && ::madvise(reinterpret_cast<void*>(first), last - first, advice) == 0; }

    uintptr_t first, last;
};

}  // namespace

MemoryFigures memory_figures(const std::string& root) {
    const std::string info = text_of(root + "/proc/meminfo");
    MemoryFigures figures;
    figures.total_bytes = field(info, "MemTotal").value_or(0) * 1024;
    figures.available_bytes = field(info, "MemAvailable").value_or(0) * 1024;
    figures.headroom_bytes = figures.available_bytes;   // the kernel counts files in use as available
    for (const GroupFiles& files : kMemoryFiles) {
        for (const std::string& folder : groups(root, files.controller)) {
            const std::optional<uint64_t> limit = number_at(text_of(folder + files.limit));
            if (!limit) {
                continue;  // "max", or no such file
            }
            const uint64_t usage = number_at(text_of(folder + files.usage)).value_or(0);
            const std::string stat = text_of(folder + "/memory.stat");
            const uint64_t cache = field(stat, files.reclaimable).value_or(0);
            const uint64_t in_use = field(stat, files.in_use).value_or(0);
            const auto left = [&](uint64_t gives) { return *limit - std::min(*limit, usage - std::min(usage, gives)); };
            figures.total_bytes = std::min(figures.total_bytes, *limit);
            figures.available_bytes = std::min(figures.available_bytes, left(cache));
            figures.headroom_bytes = std::min(figures.headroom_bytes, left(cache + in_use));
        }
    }
    return figures;
}

uint32_t cores_within_quota(uint32_t affinity_cores, const std::string& root) {
    double cores = std::max<uint32_t>(affinity_cores, 1);
    const auto cut = [&cores](std::optional<double> quota) {
        if (quota) {
            cores = std::min(cores, *quota);
        }
    };
    for (const std::string& folder : groups(root, "")) {
        cut(quota_unified(folder));
    }
    for (const std::string& folder : groups(root, "cpu")) {
        cut(quota_v1(folder));
    }
    return std::max<uint32_t>(1, static_cast<uint32_t>(cores + 0.999));
}

uint32_t usable_cores() {
    cpu_set_t set;
    CPU_ZERO(&set);
    const uint32_t affinity = ::sched_getaffinity(0, sizeof set, &set) == 0 ? static_cast<uint32_t>(CPU_COUNT(&set)) : 1;
    return cores_within_quota(affinity);
}

void wish_huge_pages(void* begin, size_t size) { static_cast<void>(WholePages(begin, size).advise(MADV_HUGEPAGE)); }

std::span<const char> mapped_file_around(const void* address) {
    const auto wanted = reinterpret_cast<uintptr_t>(address);
    std::istringstream lines(text_of("/proc/self/maps"));   // "7f00a000-7f00c000 r--s 00000000 fd:01 1234    /a/file"
    for (std::string line; std::getline(lines, line);) {
        uintptr_t first = 0, end = 0;
        uint64_t file = 0;
        char rights[8] = {};
        if (std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " %7s %*s %*s %" SCNu64, &first, &end, rights, &file) == 4 && first <= wanted &&
            wanted < end) {
            const bool only_the_files = file != 0 && rights[0] == 'r' && rights[1] == '-' && rights[3] == 's';
            return only_the_files ? std::span(reinterpret_cast<const char*>(first), end - first) : std::span<const char>();
        }
    }
    return {};
}

void let_go_of_file(std::span<const char> part) { static_cast<void>(WholePages(part.data(), part.size()).advise(MADV_DONTNEED)); }

void move_to_huge_pages(void* begin, size_t size, const std::stop_token& stop) {
    constexpr size_t kTogether = 2 * kHugePage;   // whoever reads there waits for as much; 65,530 mappings are allowed
    constexpr size_t kAsked = 256 * kHugePage;    // before memory is asked for again
    constexpr uint64_t kSpared = 256u << 20;
    if (text_of("/sys/kernel/mm/transparent_hugepage/enabled").find("[never]") != std::string::npos) {
        return;
    }
    const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
    for (size_t at = 0; at < size && !stop.stop_requested(); at += kTogether) {
        if (at % kAsked == 0 && memory_figures().available_bytes < std::min(kAsked, size - at) + kSpared) {
            return;
        }
        const size_t bytes = (std::min(kTogether, size - at) + page - 1) / page * page;
        void* room = ::mmap(nullptr, kTogether + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (room == MAP_FAILED) {
            return;
        }
        const auto first = reinterpret_cast<uintptr_t>(room);
        char* copy = reinterpret_cast<char*>((first + kHugePage - 1) / kHugePage * kHugePage);
        char* const to = static_cast<char*>(begin) + at;
        wish_huge_pages(copy, bytes);
        std::memcpy(copy, to, std::min(kTogether, size - at));
        // The kernel holds up whoever reads there until the pages stand in their new place. What is unmapped is only what was not moved:
        // the rest of the room may be somebody else's by now.
        const bool moved = ::mremap(copy, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to) != MAP_FAILED;
        char* const left = moved ? copy + bytes : copy;
        char* const end = static_cast<char*>(room) + kTogether + kHugePage;
        if (left < end) {
            ::munmap(left, static_cast<size_t>(end - left));
        }
        if (copy != room) {
            ::munmap(room, static_cast<size_t>(copy - static_cast<char*>(room)));
        }
        if (!moved) {
            return;
        }
    }
}

bool zero_without_writing(void* begin, size_t size, size_t* untouched) {
    const auto start = reinterpret_cast<uintptr_t>(begin);
    const WholePages pages(begin, size);
    if (!pages.advise(MADV_DONTNEED)) {
        return false;   // smaller than a page, or locked
    }
    std::memset(begin, 0, pages.first - start);
    std::memset(reinterpret_cast<void*>(pages.last), 0, start + size - pages.last);
    *untouched = pages.last - pages.first;
    return true;
}

void give_back_large_blocks() {
    ::mallopt(M_MMAP_THRESHOLD, kOwnMappingBytes);   // either of the two ends the learning
    ::mallopt(M_TRIM_THRESHOLD, kKeptFreeBytes);
}

uint64_t out_of_memory_kills(const std::string& root) {
    return field(text_of(root + "/proc/vmstat"), "oom_kill").value_or(0);
}

}  // namespace gantry::platform
