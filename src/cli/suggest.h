#pragma once
// What was meant by a command line that could not be parsed. Pure.

#include <string>

namespace CLI {
class App;
}

namespace gantry::cli {

// "; did you mean \"--replicas\"?", or empty. `app` has tried to parse the line and failed.
std::string suggestion(const CLI::App& app);

}  // namespace gantry::cli
