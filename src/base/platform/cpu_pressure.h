#pragma once
// Whether other work takes the cores from this process: for how long its threads were ready and had no core, and how many of
// the cores it may use stand idle. Evidence from the kernel costs microseconds, where trying out costs steps.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/platform/files.h"

namespace gantry::platform {

// The calling thread takes this name (15 bytes at most), and threads that it starts inherit it.
std::string thread_name();
void set_thread_name(const std::string& name);
int64_t thread_id();                                          // of the calling thread
std::vector<int64_t> threads_named(const std::string& name);  // of this process

// Milliseconds that some threads of this process were ready and had no core, all together, since they began. Threads: one at a
// time; the watched ones don't notice.
class ThreadWaits {
public:
    ThreadWaits() = default;
    explicit ThreadWaits(const std::vector<int64_t>& thread_ids);
    // Nothing: no thread is watched, or this kernel does not count it.
    std::optional<double> total_ms() const;

private:
    std::vector<UniqueFd> files_;
};

// How many of the cores that this process may use nobody used, on average between two looks. Threads: one at a time.
class IdleCores {
public:
    explicit IdleCores(std::string root = "") : root_(std::move(root)) {}
    // Nothing: the first look, or this system does not say. The kernel counts in hundredths of a second: look again after a
    // quarter of a second at the earliest.
    std::optional<double> since_last_look(std::chrono::steady_clock::time_point now);
    void forget() { idle_seconds_.reset(); }   // the next look is the first one again

private:
    const std::string root_;
    std::chrono::steady_clock::time_point looked_at_{};
    std::optional<double> idle_seconds_;
};

}  // namespace gantry::platform
