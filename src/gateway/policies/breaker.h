#pragma once
// The circuit breaker of one instance. Closed, it lets all requests pass. Failures in a row open it: nothing passes for a time,
// which doubles with each opening. After that one request may try (half open): its answer closes the circuit, its failure
// opens it again. Pure: a value; the time is a parameter.

#include <cstdint>

#include "base/clock.h"

namespace gantry::gateway {

class Breaker {
public:
    static constexpr uint32_t kFailures = 3;               // in a row
    static constexpr std::chrono::seconds kOpenFor{1};     // the first time
    static constexpr std::chrono::seconds kOpenForMax{32};

    bool closed() const { return openings_ == 0; }
    // Whether a request may pass now.
    bool allows(SteadyTime now) const { return closed() || (now >= open_until_ && !trying_); }
    // One passes. True: it is the one that tries. REQUIRES: allows(now).
    bool begin() { return trying_ = !closed(); }
    void succeeded() { *this = {}; }
    // True: it opened just now.
    bool failed(SteadyTime now);
    // The one that tried ended without telling anything: its client left.
    void gave_up() { trying_ = false; }
    SteadyTime open_until() const { return open_until_; }

private:
    uint32_t failures_ = 0;
    uint32_t openings_ = 0;      // since it was closed
    SteadyTime open_until_{};
    bool trying_ = false;
};

}  // namespace gantry::gateway
