#include "cli/sparkline.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace gantry::cli {
namespace {

constexpr std::array kBlocks = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
constexpr std::array kPlain = {"_", ".", ":", "-", "=", "+", "*", "#"};

}  // namespace

std::string sparkline(const std::vector<std::optional<double>>& values, double most, size_t columns, bool unicode) {
    std::string line;
    const size_t together = std::max<size_t>(1, (values.size() + columns - 1) / columns);
    for (size_t at = 0; at < values.size(); at += together) {
        const size_t end = std::min(at + together, values.size());
        const std::optional<double> highest = *std::max_element(values.begin() + static_cast<long>(at), values.begin() + static_cast<long>(end));
        if (!highest) {
            line += ' ';
            continue;
        }
        const double share = most > 0 ? std::clamp(*highest / most, 0.0, 1.0) : 0;
        const auto level = static_cast<size_t>(std::lround(share * (kBlocks.size() - 1)));
        line += unicode ? kBlocks[level] : kPlain[level];
    }
    return line;
}

}  // namespace gantry::cli
