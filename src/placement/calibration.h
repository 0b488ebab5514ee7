#pragma once
// Estimates held against what was measured, and corrected by it. Pure.

#include <cstdint>
#include <string>
#include <vector>

#include "domain/evaluation.h"
#include "domain/measured_run.h"

namespace gantry::placement {

// From runs of the same backend, architecture and vendor, of other models than `source`; where there are fewer than kRunsMin of the
// same architecture, of that backend and vendor whatever the architecture. The upper quartile of measured over estimated, since too
// little is worse than too much, within [kFactorMin, kFactorMax]: never lowered, since an engine that is hardly used takes less than it may.
inline constexpr size_t kRunsMin = 3;
inline constexpr double kFactorMin = 1;
inline constexpr double kFactorMax = 1.5;
Correction correction(const std::vector<MeasuredRun>& runs, BackendKind backend, const std::string& architecture,
                      const std::string& vendor, const std::string& source);

}  // namespace gantry::placement
