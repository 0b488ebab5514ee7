#pragma once
// The folder that models of hubs are kept in, as `gantry serve` and `gantry worker` open it.

#include <memory>
#include <string>

#include "sources/catalogue.h"
#include "sources/model_files.h"

namespace CLI {
class App;
}

namespace gantry::cli {

// --offline
void add_offline_option(CLI::App& verb, bool& offline);
// <data_dir>/models, by the settings of the environment (docs/models.md). kInvalidArgument names the variable that is wrong.
// `near_socket`: who is asked before a hub (sources/near.h).
Result<std::unique_ptr<sources::ModelFiles>> open_model_folder(const std::string& data_dir, bool offline, const std::string& near_socket = {});
// What is built in, and over it the file at `path`; empty: <data_dir>/catalogue.json, if there is one. Errors name the file.
Result<sources::Catalogue> open_catalogue(const std::string& path, const std::string& data_dir);

}  // namespace gantry::cli
