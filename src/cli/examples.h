#pragma once
// Examples for the help of verbs: one list, each line shown by the verb that it uses.

#include <span>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace gantry::cli {

std::span<const char* const> examples();
// The words of an example behind "gantry", without what a shell does around them.
std::vector<std::string> words_of_example(const std::string& line);
// Puts them into the footers of `app`'s verbs. REQUIRES: all verbs are there.
void add_examples(CLI::App& app);

}  // namespace gantry::cli
