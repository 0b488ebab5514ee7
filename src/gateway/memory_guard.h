#pragma once
// Load is shed before memory runs out: while the kernel could soon have to end a process, requests to models, the ones that would take
// more, are refused with 503 and Retry-After before their body is read. What is answered already goes on, and so do health, metrics and
// the management API, by which people make room. Should memory run out all the same, the kernel ends engines before the server
// (worker/launch.cc), and they are started again.
//
// The figure is platform::MemoryFigures::headroom_bytes: of the machine, or of the tightest control group (container) around us. It is
// looked at when a request comes, and not more often than kLookEvery but for large ones.
// Threads: any.

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/platform/memory.h"
#include "gateway/draining.h"

namespace gantry::gateway {

class MemoryGuard {
public:
    static constexpr std::chrono::milliseconds kLookEvery{250};
    static constexpr uint64_t kLargeBytes = 1u << 20;   // a body from which on the figure is looked at first

    // `reserve_bytes`: what has to be left; 0: nothing is ever shed; nullopt: default_reserve(). `root`: as in base/platform/memory.h.
    MemoryGuard(const Clock& clock, std::optional<uint64_t> reserve_bytes, std::string root = "");
    MemoryGuard(const MemoryGuard&) = delete;
    MemoryGuard& operator=(const MemoryGuard&) = delete;

    // A 32nd of the memory there is, 32 MiB at least and 512 MiB at most: less than placement leaves for the system.
    static uint64_t default_reserve(uint64_t total_bytes);

    // Why load is shed now, for people; empty: it is not. It begins below the reserve and ends at 5/4 of it.
    std::string shortage(uint64_t body_bytes = 0);

private:
    void look();   // REQUIRES: mutex_

    const Clock& clock_;
    const std::optional<uint64_t> given_;
    const std::string root_;
    std::mutex mutex_;
    std::optional<SteadyTime> looked_at_;
    std::string shortage_;
};

// Lets `otherwise` refuse first; then, while memory is short, requests that ask a model. `guard` outlives the server.
HeadCheck refuse_while_short(MemoryGuard& guard, HeadCheck otherwise);

}  // namespace gantry::gateway
