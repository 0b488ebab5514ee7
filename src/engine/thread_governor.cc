#include "engine/thread_governor.h"

#include <algorithm>
#include <cmath>

namespace gantry::engine {
namespace {

constexpr double kAdaptation = 0.3;          // of what is usual, at each step
constexpr double kLongMemory = 1.0 / 64;     // of what was lost, for a step of the usual length
constexpr double kBreakEven = 0.8;           // of 1 / n: two threads are rarely twice as fast as one
constexpr double kLostAtLeast = 0.1;         // less is noise, however many threads there are
constexpr double kLostAtLeastGuessed = 0.25; // where it is a cost model's word
constexpr double kProofMs = 200;             // lost by two steps in a row
constexpr double kUndisturbed = 0.1;
constexpr double kIdleCoreAtLeast = 0.7;     // the rest of it is our own clients' and sockets'
constexpr double kWaitSeenS = 0.25;          // between changes before a raise where idle cores are counted
constexpr double kWaitBlindS = 1.0;          // and where it is a guess, which costs steps
constexpr double kWaitMaxS = 60;
constexpr double kProvenS = 2.0;             // a raise that lasted so long went well

double seconds_between(SteadyTime from, SteadyTime to) { return std::chrono::duration<double>(to - from).count(); }

template <size_t kSize>
double median(std::array<double, kSize> values) {
    std::nth_element(values.begin(), values.begin() + kSize / 2, values.end());
    return values[kSize / 2];
}

}  // namespace

void ThreadGovernor::observe(const GovernedStep& step, SteadyTime now) {
    if (step.threads != threads_ || step.ms <= 0) {
        return;   // planned before the last change
    }
    const double lost = lost_of(step);
    undisturbed_ = threads_ == max_ && lost < kUndisturbed;
    learn_slowdown(step);
    // Most of the last few steps, or many of the last hundred: one hiccup drops nothing, however long it is.
    const double bearable = std::max(step.waited_ms >= 0 ? kLostAtLeast : kLostAtLeastGuessed, kBreakEven / threads_);
    recent_[steps_++ % recent_.size()] = lost;
    usual_ms_ = usual_ms_ > 0 ? usual_ms_ : step.ms;
    const double weight = std::min(step.ms / usual_ms_, 2.0);
    usual_ms_ *= 1 + kAdaptation * (weight - 1);
    lost_ += kLongMemory * weight * (lost - lost_);
    const auto above = std::count_if(recent_.begin(), recent_.end(), [&](double share) { return share > bearable; });
    // Long steps are proof enough by two in a row that lost much time: waiting for more of them would lose seconds.
    const double lost_ms = lost * step.ms;
    const bool proven = lost > bearable && lost_before_ms_ > 0 && lost_before_ms_ + lost_ms >= kProofMs;
    lost_before_ms_ = lost > bearable ? lost_ms : 0;
    const double lost_of_late = proven ? lost : 2 * static_cast<size_t>(above) > recent_.size() ? median(recent_) : lost_;
    if (raised_at_ && seconds_between(*raised_at_, now) >= kProvenS) {
        raised_at_.reset();
        undone_raises_ = 0;
    }
    if (threads_ > 1 && lost_of_late > bearable) {
        undone_raises_ += raised_at_ ? 1 : 0;
        raised_at_.reset();
        const double waiting = std::clamp(std::floor(lost_of_late + 0.5), 1.0, static_cast<double>(threads_ - 1));
        change(threads_ - static_cast<uint32_t>(waiting), now);
    } else if (lost_of_late <= bearable && may_raise(step, now)) {
        raised_at_ = now;
        const double free = std::clamp(std::floor(step.idle_cores + 1 - kIdleCoreAtLeast), 1.0, static_cast<double>(max_ - threads_));
        change(threads_ + static_cast<uint32_t>(free), now);
    }
}

bool ThreadGovernor::may_raise(const GovernedStep& step, SteadyTime now) const {
    const bool seen = step.idle_cores >= 0;
    if (threads_ == max_ || (seen && step.idle_cores < kIdleCoreAtLeast)) {
        return false;
    }
    const double wait = (seen ? kWaitSeenS : kWaitBlindS) * std::exp2(std::min(undone_raises_, 16u));
    return seconds_between(changed_at_, now) >= std::min(wait, kWaitMaxS);
}

// The share of the step that was lost to waiting; above 1 when several threads waited at once.
double ThreadGovernor::lost_of(const GovernedStep& step) const {
    if (step.waited_ms >= 0) {
        return step.waited_ms / step.ms;
    }
    if (step.expected_ms <= 0) {
        return 0;
    }
    const double expected = step.expected_ms * max_ / step.threads;   // fewer threads take no longer than that
    return std::max(1 - expected / step.ms, -1.0);
}

void ThreadGovernor::learn_slowdown(const GovernedStep& step) {
    if (undisturbed_) {
        slowdown_ = 1;
    } else if (step.expected_ms > 0) {
        const double now = std::clamp(step.ms / step.expected_ms, 1.0, 16.0);
        slowdown_ += kAdaptation * (now - slowdown_);
    }
}

void ThreadGovernor::change(uint32_t threads, SteadyTime now) {
    slowdown_ = std::clamp(slowdown_ * threads_ / threads, 1.0, 16.0);
    threads_ = threads;
    changed_at_ = now;
    lost_ = 0;
    recent_.fill(0);
    lost_before_ms_ = 0;
    steps_ = 0;
    usual_ms_ = 0;
    undisturbed_ = false;
}

}  // namespace gantry::engine
