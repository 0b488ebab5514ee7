#pragma once
// How far two words are apart. Pure.

#include <cstddef>
#include <string_view>

namespace gantry::cli {

// Damerau and Levenshtein: how many letters must be put in, left out, replaced, or swapped with the next one (each place once).
size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace gantry::cli
