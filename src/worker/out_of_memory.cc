#include "worker/out_of_memory.h"

namespace gantry::worker {
namespace {
// A process of many gigabytes takes seconds from the kernel's decision to its end.
constexpr std::chrono::seconds kWindow{10};
}  // namespace

void OutOfMemoryWatch::sample(SteadyTime now, uint64_t count) {
    samples_.push_back({now, count});
    // The newest sample from before the window stays: it is what the window began with.
    while (samples_.size() > 1 && now - samples_[1].at >= kWindow) {
        samples_.pop_front();
    }
}

bool OutOfMemoryWatch::rose(SteadyTime now, uint64_t count) const {
    for (auto sample = samples_.rbegin(); sample != samples_.rend(); ++sample) {
        if (now - sample->at >= kWindow) {
            return count > sample->count;
        }
    }
    return !samples_.empty() && count > samples_.front().count;
}

}  // namespace gantry::worker
