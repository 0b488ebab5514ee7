#pragma once
// Whether asking the drafter pays. A draft model's guesses take forward passes of their own before the step; where what they save is
// less, the drafter is left alone for a while, then tried again, since text changes. Pure; times in milliseconds.

#include <algorithm>
#include <cstdint>

namespace gantry::engine {

class DraftWorth {
public:
    // Once a step: whether to ask in it.
    bool ask() {
        if (rest_left_ == 0) {
            return true;
        }
        --rest_left_;
        return false;
    }
    // After a step in which it was asked. `step_ms`: what the step would have taken without guesses. `saved_ms`: what the right ones
    // were worth, less what verifying them all took.
    void observe(double guess_ms, double saved_ms, double step_ms) {
        seen_ = std::min(seen_ + 1, kWindow);
        net_ += ((saved_ms - guess_ms) / step_ms - net_) / seen_;
        if (seen_ < try_) {
            return;
        }
        if (net_ >= -kTolerated) {
            rest_ = kRestFirst;
            return;
        }
        rest_left_ = rest_;
        rest_ = std::min(rest_ * 2, kRestMost);
        try_ = kTryAgain;
        seen_ = 0;
        net_ = 0;
    }

private:
    static constexpr uint32_t kTryFirst = 8;  // steps, before the first judgement
    static constexpr uint32_t kTryAgain = 4;  // after a rest
    static constexpr uint32_t kWindow = 16;   // steps that the mean forgets in
    static constexpr uint32_t kRestFirst = 32;
    static constexpr uint32_t kRestMost = 1'024;
    static constexpr double kTolerated = 0.01;  // of a step: looking up the prompt costs microseconds and shall not stop

    double net_ = 0;  // of a step's time, the mean
    uint32_t seen_ = 0;
    uint32_t try_ = kTryFirst;
    uint32_t rest_ = kRestFirst;
    uint32_t rest_left_ = 0;
};

}  // namespace gantry::engine
