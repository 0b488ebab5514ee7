#include "gateway/policies/breaker.h"

#include <algorithm>

namespace gantry::gateway {

bool Breaker::failed(SteadyTime now) {
    // Requests that were under way when it opened say nothing new.
    if (!closed() && now < open_until_) return false;
    if (closed() && ++failures_ < kFailures) return false;
    trying_ = false;
    open_until_ = now + std::min(kOpenFor * (1 << std::min(openings_, 10u)), kOpenForMax);
    ++openings_;
    return true;
}

}  // namespace gantry::gateway
