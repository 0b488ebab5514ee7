#pragma once
// Settings from a file of "key = value" lines, where a key is a long flag of the verb.

#include <string>

#include "base/result.h"

namespace CLI {
class App;
}

namespace gantry::cli {

// Sets what neither a flag nor the environment set; call it after the command line was parsed. (CLI11's own reading of files
// would win over the environment.) kInvalidArgument names an unknown key or a wrong value.
Status apply_config(CLI::App& verb, const std::string& path);

}  // namespace gantry::cli
