#include "gateway/policies/weighted.h"

#include <numeric>

namespace gantry::gateway {

std::optional<size_t> pick_weighted(std::span<const uint32_t> weights, double uniform) {
    const uint64_t sum = std::accumulate(weights.begin(), weights.end(), uint64_t{0});
    std::optional<size_t> last;
    double left = uniform * static_cast<double>(sum);
    for (size_t i = 0; i < weights.size(); ++i) {
        if (weights[i] == 0) continue;
        last = i;   // should rounding leave a rest
        left -= weights[i];
        if (left < 0) break;
    }
    return last;
}

}  // namespace gantry::gateway
