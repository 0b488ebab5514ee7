#pragma once
// A machine of numbers for tests: what a step of a shape takes on it, with noise and disturbances drawn from a seed.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include "engine/cost_model.h"

namespace gantry::engine {

struct SyntheticMachine {
    std::vector<std::pair<uint32_t, double>> steps;   // rows and milliseconds; straight between them, and beyond the last as it is
    double attention_ms = 0;                          // a row and cell
    double slowness = 1;
    double noise = 0;                                 // deviation of the logarithm
    double outliers = 0;                              // share of steps that take outlier_factor as long
    double outlier_factor = 5;
    std::mt19937 random{1};

    double quiet_ms(const StepShape& shape) const {
        auto above = std::find_if(steps.begin() + 1, steps.end() - 1, [&](const auto& step) { return step.first >= shape.rows; });
        const auto [to, to_ms] = *above;
        const auto [from, from_ms] = *(above - 1);
        const double way = (static_cast<double>(shape.rows) - from) / (static_cast<double>(to) - from);
        return slowness * (from_ms + way * (to_ms - from_ms) + attention_ms * static_cast<double>(shape.attended));
    }

    double ms(const StepShape& shape) {
        const bool outlier = std::uniform_real_distribution<double>(0, 1)(random) < outliers;
        return quiet_ms(shape) * std::exp(noise * std::normal_distribution<double>()(random)) * (outlier ? outlier_factor : 1);
    }
};

}  // namespace gantry::engine
