#pragma once
// What the two files of /api/v1/model-files share.

#include <string>

#include "control/api/api.h"

namespace gantry::control {

// The list as GET /api/v1/model-files gives it; options.model_files must be there.
std::string model_files_text(ApiContext& api);
void add_model_file_watch_route(http::Router& router, ApiContext& api);

}  // namespace gantry::control
