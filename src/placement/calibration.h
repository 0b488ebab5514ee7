#pragma once
// Estimates held against what was measured, and corrected by it. Pure.

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "domain/deployment.h"

namespace gantry::placement {

// One finished or running instance: what was estimated for it and the most it took.
struct MeasuredRun {
    BackendKind backend = BackendKind::kEngine;
    std::string architecture;
    std::string source;            // of the model
    std::string vendor = "cpu";    // of its devices
    uint64_t estimate_bytes = 0;   // uncorrected
    uint64_t peak_bytes = 0;
};

struct Correction {
    double factor = 1;             // what an estimate is multiplied with
    size_t runs = 0;               // that it rests on; 0: none, the factor is 1
};
// From runs of the same backend, architecture and vendor, of other models than `source`; where there are fewer than kRunsMin of the
// same architecture, of that backend and vendor whatever the architecture. The upper quartile of measured over estimated, since too
// little is worse than too much, within [kFactorMin, kFactorMax].
inline constexpr size_t kRunsMin = 3;
inline constexpr double kFactorMin = 0.8;
inline constexpr double kFactorMax = 1.5;
Correction correction(const std::vector<MeasuredRun>& runs, BackendKind backend, const std::string& architecture,
                      const std::string& vendor, const std::string& source);

}  // namespace gantry::placement
