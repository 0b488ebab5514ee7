#include "placement/calibration.h"

#include <algorithm>
#include <cmath>

namespace gantry::placement {

Correction correction(const std::vector<MeasuredRun>& runs, BackendKind backend, const std::string& architecture,
                      const std::string& vendor, const std::string& source) {
    std::vector<double> like, all;   // of the same architecture, of any
    for (const MeasuredRun& run : runs) {
        const bool counts = run.backend == backend && run.vendor == vendor && run.source != source && run.estimate_bytes > 0 && run.peak_bytes > 0;
        if (!counts) {
            continue;
        }
        const double ratio = static_cast<double>(run.peak_bytes) / static_cast<double>(run.estimate_bytes);
        all.push_back(ratio);
        if (run.architecture == architecture) {
            like.push_back(ratio);
        }
    }
    std::vector<double>& chosen = like.size() >= kRunsMin ? like : all;
    if (chosen.empty()) {
        return {};
    }
    std::sort(chosen.begin(), chosen.end());
    const auto place = static_cast<size_t>(std::ceil(0.75 * static_cast<double>(chosen.size()))) - 1;
    return {.factor = std::clamp(chosen[place], kFactorMin, kFactorMax), .runs = chosen.size()};
}

}  // namespace gantry::placement
