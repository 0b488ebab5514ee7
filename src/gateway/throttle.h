#pragma once
// Counts failed attempts by who made them. Each source may fail kBurst times at once and then once every kRefill; over that the
// answer is 429 with the time to wait. Memory is bounded: sources beyond kSourcesMax share one account. Threads: one.

#include <chrono>
#include <string>
#include <unordered_map>

#include "base/clock.h"

namespace gantry::gateway {

class Throttle {
public:
    static constexpr int kBurst = 20;
    static constexpr std::chrono::seconds kRefill{3};
    static constexpr size_t kSourcesMax = 4096;

    // Notes a failure of `source` now. 0: still within bounds; else the seconds until the next one would be.
    int failed(const std::string& source, SteadyTime now);
    size_t sources() const { return debts_.size(); }

private:
    void forget_the_paid(SteadyTime now);

    // For each source the time at which all its failures are paid off (the generic cell rate algorithm, ITU-T I.371).
    std::unordered_map<std::string, SteadyTime> debts_;
    SteadyTime others_{};
    SteadyTime swept_at_{};
};

// The peer as a source: an IPv4 address, or the /64 of an IPv6 address, because whoever has one has all of it.
std::string peer_source(const std::string& peer);

}  // namespace gantry::gateway
