#include "gateway/policies/pace.h"

#include <algorithm>
#include <cmath>

namespace gantry::gateway {
namespace {
constexpr double kPromptTokenCost = 0.1;
constexpr double kEffortKnown = 1;     // a pace is known after so much
constexpr double kEffortKept = 60;
constexpr double kHalfForgotten = 10;  // seconds without a request
double speed_up(uint32_t requests) { return std::sqrt(static_cast<double>(std::max(requests, 1u))); }
}  // namespace

double work_of(uint64_t prompt_tokens, uint64_t completion_tokens) {
    return kPromptTokenCost * static_cast<double>(prompt_tokens) + static_cast<double>(completion_tokens);
}

double seconds_to_drain(double work, uint32_t requests, double pace) { return work / (pace * speed_up(requests)); }

void Pace::busy(uint32_t requests, double seconds) {
    if (seconds <= 0) return;
    if (requests == 0) {
        const double kept = std::exp2(-seconds / kHalfForgotten);
        effort_ *= kept;
        work_ *= kept;
        if (effort_ < kEffortKnown) *this = {};
        return;
    }
    while (effort_ > kEffortKept) {   // before: the work of this time is told later
        effort_ /= 2;
        work_ /= 2;
    }
    effort_ += seconds * speed_up(requests);
}

double Pace::of_one() const { return effort_ < kEffortKnown || work_ <= 0 ? 0 : work_ / effort_; }

}  // namespace gantry::gateway
