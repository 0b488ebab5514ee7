#pragma once
// Completion scripts from a CLI11 tree. Pure.

#include <string>

namespace CLI {
class App;
}

namespace gantry::cli {

// `shell`: "bash", "zsh" or "fish".
std::string completion_script(const CLI::App& app, const std::string& shell);

}  // namespace gantry::cli
