#pragma once
// How far two words are apart, and which of several was meant. Pure.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gantry {

// Damerau and Levenshtein: how many letters must be put in, left out, replaced, or swapped with the next one (each place once).
size_t edit_distance(std::string_view a, std::string_view b);

// The candidate nearest to `word`, if it is near enough to be meant: at most a third of its letters differ (at least 2 may).
std::optional<std::string> did_you_mean(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace gantry
