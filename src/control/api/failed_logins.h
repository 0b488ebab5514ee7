#pragma once
// How many failed logins the audit log takes: strangers make them, and must not fill the disk. Threads: any.

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <utility>

#include "base/clock.h"

namespace gantry::control {

class FailedLogins {
public:
    static constexpr double kAtOnce = 60;        // and as many a minute from then on

    explicit FailedLogins(const Clock& clock) : clock_(clock), at_(clock.steady()) {}

    struct Turn {
        bool listed = false;
        uint64_t left_out = 0;                   // of a listed one: how many were not, since the one before
    };
    Turn next() {
        const std::lock_guard lock(mutex_);
        const SteadyTime now = clock_.steady();
        room_ = std::min(kAtOnce, room_ + std::chrono::duration<double>(now - at_).count());
        at_ = now;
        if (room_ < 1) {
            ++left_out_;
            return {};
        }
        room_ -= 1;
        return {true, std::exchange(left_out_, 0)};
    }

private:
    const Clock& clock_;
    std::mutex mutex_;                           // protects what follows
    double room_ = kAtOnce;
    SteadyTime at_;
    uint64_t left_out_ = 0;
};

}  // namespace gantry::control
