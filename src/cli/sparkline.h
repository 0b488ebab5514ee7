#pragma once
// Figures over time in a line of text. Pure.

#include <optional>
#include <string>
#include <vector>

namespace gantry::cli {

// A character a value from 0 to `most`, at most `columns` of them: of longer lists the highest of several stands for them. A blank
// where there is no value. In plain ASCII where `unicode` is false.
std::string sparkline(const std::vector<std::optional<double>>& values, double most, size_t columns, bool unicode);

}  // namespace gantry::cli
