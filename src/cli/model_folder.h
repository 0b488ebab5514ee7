#pragma once
// The folder that models of hubs are kept in, as `gantry serve` and `gantry worker` open it.

#include <memory>
#include <string>

#include "sources/model_files.h"

namespace CLI {
class App;
}

namespace gantry::cli {

// --offline
void add_offline_option(CLI::App& verb, bool& offline);
// <data_dir>/models, by the settings of the environment (docs/models.md). kInvalidArgument names the variable that is wrong.
Result<std::unique_ptr<sources::ModelFiles>> open_model_folder(const std::string& data_dir, bool offline);

}  // namespace gantry::cli
