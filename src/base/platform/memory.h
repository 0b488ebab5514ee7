#pragma once
// What of the machine this process may use: memory and cores, by the machine and by every control group (container) around
// this process. `root` stands before the paths of /proc and /sys, for tests with recorded files.

#include <cstddef>
#include <cstdint>
#include <span>
#include <stop_token>
#include <string>

namespace gantry::platform {

struct MemoryFigures {
    uint64_t total_bytes = 0;       // the machine's, or the tightest limit around this process
    uint64_t available_bytes = 0;   // what a new engine may take now without swapping; caches that can go count as available
    uint64_t headroom_bytes = 0;    // at least that; beyond it the kernel ends a process: all that files hold of memory is given up first
};
MemoryFigures memory_figures(const std::string& root = "");

// `affinity_cores` cut to the CPU quota around this process, rounded up; at least 1.
uint32_t cores_within_quota(uint32_t affinity_cores, const std::string& root = "");
// By affinity and quota.
uint32_t usable_cores();

// Makes all of this memory read as zeros without writing to it: its whole pages go back to the kernel. For private memory of this
// process (malloc's), not for files. False: could not, nothing was changed. `untouched`: how many bytes were not written.
bool zero_without_writing(void* begin, size_t size, size_t* untouched);

// Asks for large pages where memory is read again and again, so that the processor finds it faster. Only a wish.
void wish_huge_pages(void* begin, size_t size);
// Puts what stands in this memory into large pages, where it is: readers go on and never notice. For private mappings of whole pages,
// such as a file's, that begin with kHugePage and that nobody writes to meanwhile. Ends early at `stop`, where there are no large pages, and
// before memory is short.
inline constexpr size_t kHugePage = 2u << 20;
void move_to_huge_pages(void* begin, size_t size, const std::stop_token& stop);

// The shared mapping of a file around this address, which this process only reads; empty: what is there is something else, and may
// hold what no file does.
std::span<const char> mapped_file_around(const void* address);
// The whole pages in this part of such a mapping leave this process's memory. Who reads there again gets them from the file.
void let_go_of_file(std::span<const char> part);

// From here on a large block that is freed goes back to the kernel at once. Left to itself glibc's malloc learns from the first one of
// tens of megabytes to keep such, and one large request would leave a process several times its size for good.
void give_back_large_blocks();

// How often this machine's kernel ended a process for want of memory, since it started (its own count; 0: not known).
uint64_t out_of_memory_kills(const std::string& root = "");

}  // namespace gantry::platform
