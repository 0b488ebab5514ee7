#pragma once
// What this process may use of its machine. Linux only for now; belongs behind base/platform/ once that exists.

#include <cstdint>

namespace gantry::engine {

// Cores by affinity and by the cgroup's CPU quota (rounded up), at least 1.
uint32_t usable_cores();
// Bytes that can still be taken: the machine's MemAvailable or what the cgroup leaves, whichever is less.
uint64_t available_memory_bytes();

}  // namespace gantry::engine
