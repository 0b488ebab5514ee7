#pragma once
// When an engine that failed is started again: at once, then later and later, and for ever, because what is wrong may be
// mended from outside. Pure: time and chance come in.

#include <chrono>
#include <cstdint>
#include <string>

#include "base/clock.h"
#include "worker/worker.h"

namespace gantry::worker {

class RestartPolicy {
public:
    explicit RestartPolicy(const SupervisionPolicy& policy) : policy_(policy) {}

    // The engine's first healthy answer since it was started.
    void on_ready(SteadyTime now) { ready_since_ = now; }
    // It ended, or never became ready. Returns how long to wait before the next try; `chance` in [0, 1) spreads it.
    std::chrono::milliseconds on_failure(SteadyTime now, double chance);
    void reset() { failures_ = 0; }

    uint32_t failures() const { return failures_; }   // in a row
    bool crash_loop() const { return failures_ >= policy_.crash_loop_failures; }
    // What is shown: "exited with status 3; next try in 2 s", or with "crash loop: ..." in front when it `crashed` too often.
    std::string describe(const std::string& why, std::chrono::milliseconds delay, const std::string& name,
                         bool crashed = true) const;

private:
    const SupervisionPolicy& policy_;
    uint32_t failures_ = 0;
    SteadyTime ready_since_ = SteadyTime::max();   // max: not ready since the last failure
};

}  // namespace gantry::worker
