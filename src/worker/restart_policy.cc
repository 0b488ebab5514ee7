#include "worker/restart_policy.h"

#include <fmt/format.h>

#include <algorithm>

namespace gantry::worker {

std::chrono::milliseconds RestartPolicy::on_failure(SteadyTime now, double chance) {
    if (ready_since_ != SteadyTime::max() && now - ready_since_ >= policy_.healthy_reset) {
        failures_ = 0;
    }
    ready_since_ = SteadyTime::max();
    ++failures_;
    if (failures_ == 1) {
        return std::chrono::milliseconds(0);
    }
    // The exponent is bounded so that a loop of days does not overflow it.
    const uint32_t doublings = std::min<uint32_t>(failures_ - 2, 20);
    const double cap = static_cast<double>(policy_.restart_cap.count());
    const double wait = std::min(cap, static_cast<double>(policy_.restart_base.count()) * static_cast<double>(1u << doublings));
    const double factor = 1.0 + policy_.restart_jitter * (2.0 * chance - 1.0);
    return std::chrono::milliseconds(static_cast<int64_t>(wait * factor));
}

std::string RestartPolicy::describe(const std::string& why, std::chrono::milliseconds delay, const std::string& name,
                                    bool crashed) const {
    const std::string next = delay.count() < 500 ? "trying again now"
                                                 : fmt::format("next try in {} s", (delay.count() + 500) / 1000);
    if (crashed && crash_loop()) {
        return fmt::format("crash loop: {} {} times; {}; see gantry logs {}", why, failures_, next, name);
    }
    return fmt::format("{}; {}", why, next);
}

}  // namespace gantry::worker
