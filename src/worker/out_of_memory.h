#pragma once
// Whether the kernel ended a process for want of memory lately. The kernel's count is of the whole machine, so a rise is held
// against an engine only when it was killed within seconds of it.

#include <cstdint>
#include <deque>

#include "base/clock.h"

namespace gantry::worker {

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
