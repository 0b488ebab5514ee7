#pragma once
// Whether the kernel ended a process for want of memory lately. The kernel's count is of the whole machine, so a rise is held
// against an engine only when it was killed within seconds of it.

#include <cstdint>
#include <deque>
#include <string_view>

#include "base/clock.h"

namespace gantry::worker {

// Whether an engine that failed said at its end that a device, or the process itself, had no more memory: in the words of the
// runtimes (CUDA, HIP, CANN, Metal, PyTorch, vLLM, ggml, C++). `log`: the end of what it wrote.
bool says_out_of_memory(std::string_view log);

class OutOfMemoryWatch {
public:
    // The kernel's count as it is now. Call it every second or so.
    void sample(SteadyTime now, uint64_t count);
    // True: the count rose in the last 10 s.
    bool rose(SteadyTime now, uint64_t count) const;

private:
    struct Sample {
        SteadyTime at;
        uint64_t count;
    };
    std::deque<Sample> samples_;
};

}  // namespace gantry::worker
